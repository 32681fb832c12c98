/* What the launcher's files share: the wire format, the table of ops, the plan, the monitor. README.md says what they mean. */
#ifndef NARU_LAUNCHER_H
#define NARU_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_BYTES_MAX (4u * 1024 * 1024)
#define FIELDS_MAX 8192
#define TEXT_BYTES_MAX 512
#define REPLY_BYTES_MAX (1024 * 1024)

/* A string of a frame, in place. data[size] is always 0, so that it can be used as a C string once is_text() said yes. */
struct field {
  const char *data;
  size_t size;
};

/* True when no zero byte hides inside. */
bool is_text(struct field field);
bool field_is(struct field field, const char *text);
/* A whole decimal number without sign in [0, max]. False leaves *value alone. */
bool field_number(struct field field, uint64_t max, uint64_t *value);

/* --- wire.c: strings out of a frame and into one -------------------------------------------------------------------- */

struct reader {
  const char *at;
  const char *end;
};

/* 1: *field is the next string; 0: the end; -1: malformed. */
int read_field(struct reader *reader, struct field *field);
/* Number of fields, or -1 when malformed or more than max. */
int read_fields(struct reader reader, struct field *fields, int max);

struct writer {
  char *data;
  size_t size;
  size_t capacity;
  bool overflow;
};

void write_begin(struct writer *writer, char *data, size_t capacity);
void write_field(struct writer *writer, const void *data, size_t size);
void write_text(struct writer *writer, const char *text);
void write_number(struct writer *writer, uint64_t value);
/* "failed" <errno> <what> <index of the op>: how a launch that failed is told of. */
void write_failure(struct writer *writer, int error, const char *what, int index);
/* Fills in the frame's length; its size, or 0 when it overflowed. */
size_t write_end(struct writer *writer);

/* --- ops: a family is one file and one line in families.def ----------------------------------------------------------- */

struct op_call {
  const struct field *args;
  int count;
  /* Results of an op that succeeds: write_text(call->results, …). */
  struct writer *results;
  /* What failed, without the errno's words, such as "add link veth1a"; set it with op_fail. */
  char what[TEXT_BYTES_MAX];
};

/* Sets call->what and gives -error, so that an op can `return op_fail(call, errno, "add link %s", name)`. */
__attribute__((format(printf, 3, 4))) int op_fail(struct op_call *call, int error, const char *format, ...);

struct op {
  const char *name;
  int args_min;
  int args_max;
  /* 0, or a negative errno through op_fail. Must not block for long: the launcher has one thread. */
  int (*run)(struct op_call *call);
};

struct op_family {
  const struct op *ops;
  int count;
};

#define OP_FAMILY(name, table) const struct op_family name = {.ops = (table), .count = sizeof(table) / sizeof((table)[0])}

/* netlink.c: the command "netlink". */
int netlink_command(void);

/* below-chroot.c: the command of that name. */
int below_chroot_command(void);

/* --- pid-holder.c ------------------------------------------------------------------------------------------------------- */

/* Kills the first process of a sandbox's shared pid namespace, and with it all others in there. */
void end_pid_holder(const char *directory);

/* --- relay.c ------------------------------------------------------------------------------------------------------------ */

int relay_command(const char *namespace, const char *port_text);

/* Runs an op by name, inside the network namespace at netns_path unless that is "". 0 or -errno. */
int run_op(struct field name, struct field netns_path, struct op_call *call);

/* --- containers: serve.c forks, monitor.c looks after one process, plan.c performs the ops of its launch plan ------------ */

/* Where a container's process begins: a mount namespace with nothing of the host in it but /proc and /dev/null, and the way back from there. */
struct apart {
  int namespace, home, home_root;
};

/* What is asked of a new monitor, still in the frame that asked. */
struct launch_request {
  /* The container's name below the containers directory; empty for exec. */
  struct field name;
  /* Launch ops, each a list of strings itself: a name and its arguments. */
  const struct field *ops;
  int count;
  /* Whom to tell: the launcher (launch), or the client itself over its stream (exec). The other is -1. */
  int control;
  int stream;
  struct field request_id;
  /* The ops are the beginning of a plan, or none; its rest comes over `control`, with the name. */
  bool pooled;
};

/* The rest of a plan that a pooled sandbox takes. */
#define POOLED_BYTES_MAX (96u * 1024)

/* The life of a monitor. Never returns. */
_Noreturn void monitor_run(int containers, const struct apart *apart, const struct launch_request *request);

/* --- pool.c: what sandboxes are kept waiting ----------------------------------------------------------------------------- */

#define POOL_SHAPES_MAX 4
#define POOL_WANTED_MAX 64

struct shape {
  /* Ops that those which wait have performed; count 0 when it is none. */
  struct field *ops;
  int count;
  char *bytes;
  int wanted;
  /* One could not be made: no other is tried until it is asked for again. */
  bool failed;
  /* Changes when another shape takes the place. */
  unsigned version;
  uint64_t used;
};

/* So many of this shape are wanted; the one that was asked for longest ago gives way. NULL without memory. */
struct shape *pool_set(const struct field *ops, int count, int wanted);
/* The shape that a plan begins with, or NULL. */
struct shape *pool_match(const struct field *ops, int count);
/* By number; NULL behind the last. */
struct shape *pool_shape(int number);

enum { STREAM_IN = 1, STREAM_OUT = 2, STREAM_ERR = 4 };

#define HELD_MAX 240
#define MOUNT_USERS_MAX 16

/* What was opened first, to be used later: a tree of mounts, a file of a cgroup, a namespace. */
struct held {
  int fd;
  const char *destination;
};


/* What launch ops find out for the monitor and for each other. */
struct launch {
  int containers;
  /* Below, -1 is absent. The child's ends become its 0, 1 and 2; with a terminal they come later, from its own devpts. */
  int child_stdio[3];
  int in, out, err;
  bool terminal;
  unsigned columns, rows;
  int report;
  int pidfd;
  pid_t pid;
  int root;
  int target;
  int cgroup;
  int null_tree, empty_tree;
  unsigned uid;
  struct field log_path;
  uint64_t log_bytes_max, log_files_max;
  struct field oom_path, oom_key;
  /* What `hold` and its like opened, and how many of them were used. */
  struct held held[HELD_MAX];
  int held_count, placed;
  struct apart apart;
  /* The child's: its mounts began apart; whoever cloned it handed over what it opened; a pooled one waits for the rest of its plan;
     what is mounted goes to the stage. */
  bool is_apart, handed_over, pooled, staging;
  /* Ops that a pooled one performed before it got the rest. */
  int ahead;
  /* -1, or whose users the container's are; and those of single mounts. */
  int user_namespace;
  int mount_users[MOUNT_USERS_MAX], mount_user_count;
  bool cloned, settled;
  bool hold_output;
  /* One of its cgroups was there already. */
  bool cgroup_reused;
  /* once.c: where the child waits for its start, who gets its terminal, its number as the host sees it, files that it inherits,
     and whether `report` is a stream now, which takes whole frames. */
  int listener, console;
  /* Who gets the calls that its filter says so of. */
  int seccomp_listener;
  pid_t host_pid;
  unsigned preserved_files;
  bool framed;
};

#define LAUNCH_NONE                                                                                                              \
  {.containers = -1, .child_stdio = {-1, -1, -1}, .in = -1, .out = -1, .err = -1, .report = -1, .pidfd = -1, .root = -1,         \
   .target = -1, .cgroup = -1, .null_tree = -1, .empty_tree = -1, .listener = -1, .console = -1, .seccomp_listener = -1,          \
   .user_namespace = -1, .apart = {-1, -1, -1}}

struct launch_op {
  const char *name;
  int args_min;
  int args_max;
  /* Before clone, in the monitor; after it, in the child. */
  bool in_monitor, in_child;
  int (*run)(struct launch *launch, struct op_call *call);
};

extern const struct launch_op clone_launch_ops[], monitor_launch_ops[], apart_launch_ops[], root_launch_ops[],
    mount_launch_ops[], bind_launch_ops[], device_launch_ops[], mask_launch_ops[], user_launch_ops[], process_launch_ops[],
    once_launch_ops[], copy_launch_ops[], delegate_launch_ops[], label_launch_ops[], scheduling_launch_ops[];
extern const int clone_launch_op_count, monitor_launch_op_count, apart_launch_op_count, root_launch_op_count,
    mount_launch_op_count, bind_launch_op_count, device_launch_op_count, mask_launch_op_count, user_launch_op_count,
    process_launch_op_count, once_launch_op_count, copy_launch_op_count, delegate_launch_op_count, label_launch_op_count,
    scheduling_launch_op_count;

/* Performs ops in the monitor up to and with clone, and the monitor's own behind it. 0 once the child exists and has what it needs;
   the child never returns. On failure -errno, *index says which op, and call what. */
int plan_run(struct launch *launch, const struct field *ops, int count, int *index, struct op_call *call);
/* The monitor's parts of a plan whose child exists: from each `monitor` to its `hand-over`, whose first also sends `rest` to a pooled one. */
int plan_monitor(struct launch *launch, const struct field *ops, int count, struct field rest, int *index, struct op_call *call);
/* Closes every file from `first` on but those of `keep`. Sorts keep. */
void close_all_but(unsigned first, int *keep, int count);

enum report_kind { REPORT_END, REPORT_TERMINAL, REPORT_EXEC, REPORT_SYNC, REPORT_WAITING, REPORT_FAILED };

/* What the child says next, to whoever cloned it. fd: the terminal. index, error and what: of the op that failed. */
struct report {
  enum report_kind kind;
  int fd, index, error;
  char what[TEXT_BYTES_MAX];
};

void read_report(const struct launch *launch, struct report *report);
/* Sends one word, with a file unless that is -1; 0 or -1. */
int send_with_file(int socket, const char *word, int fd);

/* --- plan-apart.c ----------------------------------------------------------------------------------------------------------- */

/* Makes the mount namespace in which containers begin; afterwards this process is where it was. 0 or -1 with errno. */
int make_apart(struct apart *apart);
/* 0 or -1 with errno. */
int enter_apart(const struct apart *apart);
int leave_apart(const struct apart *apart);
/* Keeps a file for the child; takes it over. */
int hold_file(struct launch *launch, struct op_call *call, int fd, const char *destination);
/* The next one that was held, which is the caller's from here on; -EINVAL when there is none. */
int take_held(struct launch *launch, struct op_call *call);
/* Sends what is held, with `data`; 0 or -1. */
int send_held(struct launch *launch, const char *data, size_t size);
/* Receives it; the number of bytes that came with it, or -1. */
ssize_t receive_held(struct launch *launch, char *data, size_t capacity);
/* Flags of "mount pid net …"; 0 for words it does not know. */
uint64_t namespace_flags(struct field words);
/* Opens a directory or file inside the root for mounting on it, made when absent. An O_PATH fd or -1. */
int make_in_root(int root, const char *path, bool directory, mode_t mode);
/* The root of the mount namespace becomes this process's; -1 with errno. */
int enter_namespace_root(void);

/* Connects to a unix socket, however long its path is; a file or -1. */
int connect_unix(struct field path);

/* --- plan-binds.c ----------------------------------------------------------------------------------------------------------- */

/* Attributes of a mount: of the mount itself, of it and all below, and what it shares with the place that it came from. */
struct mount_words {
  uint64_t set, set_all, clear_all, propagation;
  /* MS_… of a file system itself, and MS_REMOUNT. */
  unsigned long super;
  bool recursive, idmap, idmap_all;
  /* -1: the container's users, else those of mount-users, which have a number each. */
  int users;
};

/* Reads "ro nosuid recursive rro slave". False for a word it does not know. */
bool mount_words(struct field text, struct mount_words *words);
/* A copy of the mount at path, attached nowhere yet, or a negative errno. */
int tree_at(const struct launch *launch, struct op_call *call, const char *path, const struct mount_words *words);
/* What is made inside the root from now on belongs to this user and group of the host. */
void make_in_root_for(uid_t owner, gid_t group);
/* make_in_root, but nothing of the kernel's /proc by another name; with `plain` through no link at all. */
int open_mount_point(int root, const char *path, bool directory, bool plain);

/* --- plan-mounts.c ---------------------------------------------------------------------------------------------------------- */

/* The op `mount`. */
int mount_file_system(struct launch *launch, struct op_call *call);
/* Mounts on a path, or on a directory that is open. 0 or a negative errno. */
int mount_on(struct op_call *call, const char *path, const char *type, const char *source, const struct mount_words *words,
             const char *data);
int mount_on_directory(struct op_call *call, int to, const char *type, const char *source, const struct mount_words *words,
                       const char *data);

/* --- plan-root.c and plan-devices.c ----------------------------------------------------------------------------------------- */

/* A container's root as a tree that is attached nowhere yet; arguments as `rootfs` has them. A negative errno through op_fail. */
int root_tree(struct launch *launch, struct op_call *call);
/* The directory of a path that devices or links are made in stays open until something is mounted. */
void forget_folder(void);

/* --- plan-delegate.c ---------------------------------------------------------------------------------------------------------- */

/* Whether another runtime makes the container of this plan. */
bool delegated(void);
/* Waits until it has, and lets the container's process go on, which then is the launch's: 0, or -errno with call->what. */
int delegate_start(struct launch *launch, struct op_call *call);

/* --- log.c: a container's log file in the CRI format -------------------------------------------------------------------- */

struct log {
  int fd;
  const char *path;
  uint64_t size, bytes_max;
  unsigned files_max;
};

void log_open(struct log *log, const char *path, uint64_t bytes_max, unsigned files_max);
void log_write(struct log *log, const char *stream, const char *data, size_t size);

/* --- crash.c: nothing but in tests' builds ----------------------------------------------------------------------------- */

enum { CRASH_BEFORE_STATUS = 1000, CRASH_AFTER_STATUS, CRASH_BEFORE_EXIT, CRASH_AFTER_EXIT, CRASH_DELEGATE_CREATED, CRASH_DELEGATE_STARTED };

#ifdef CRASH_POINTS
void crash_prepare(int containers);
void crash_point(const struct launch *launch, int now);
void crash_heard(void);
/* A pooled child looks there again when it gets its plan's rest. */
static inline int crash_directory(const struct launch *launch) { return launch->containers; }
#else
static inline int crash_directory(const struct launch *launch) { return (void)launch, -1; }
static inline void crash_prepare(int containers) { (void)containers; }
static inline void crash_point(const struct launch *launch, int now) { (void)launch, (void)now; }
#endif

/* --- records.c ------------------------------------------------------------------------------------------------------------ */

/* A small file of a container's directory. Its last byte, a newline, says that it is whole. 0 or -1. */
int write_record(int directory, const char *name, const char *text);
/* The number behind a key in a file of lines such as "oom_kill 0"; 0 when there is none. */
uint64_t read_counter(struct field path, struct field key);
/* Clock ticks after boot when the process began, from /proc/<pid>/stat; 0 when it does not exist. */
uint64_t process_start(pid_t pid);
int64_t now_ms(void);
/* Writes a whole small file; 0 or -1 with errno. */
int write_file(const char *path, const void *data, size_t size);

/* --- small things --------------------------------------------------------------------------------------------------------- */

/* 0 or -1 with errno. */
int bring_loopback_up(void);
/* What ps shows. */
void set_title(const char *text);

/* once.c: performs one plan for a caller who then is the parent of its process. */
int once_command(const char *control, const char *preserved_files, const char *end);

int serve(const char *run_directory, const char *containers_directory);

#endif
