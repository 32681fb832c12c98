/* Performs a launch plan: op after op, in the monitor up to clone and in the child from there on. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define DIRECTORY_TRIES_MAX 100

static struct field op_fields[FIELDS_MAX];

static const struct launch_op *find_in(const struct launch_op *ops, int count, struct field name) {
  for (int i = 0; i < count; i++)
    if (field_is(name, ops[i].name)) return &ops[i];
  return NULL;
}

static const struct launch_op *find(struct field name) {
  const struct launch_op *op = find_in(monitor_launch_ops, monitor_launch_op_count, name);
  if (op == NULL) op = find_in(mount_launch_ops, mount_launch_op_count, name);
  if (op == NULL) op = find_in(bind_launch_ops, bind_launch_op_count, name);
  if (op == NULL) op = find_in(user_launch_ops, user_launch_op_count, name);
  if (op == NULL) op = find_in(process_launch_ops, process_launch_op_count, name);
  if (op == NULL) op = find_in(once_launch_ops, once_launch_op_count, name);
  if (op == NULL) op = find_in(copy_launch_ops, copy_launch_op_count, name);
  if (op == NULL) op = find_in(delegate_launch_ops, delegate_launch_op_count, name);
  if (op == NULL) op = find_in(label_launch_ops, label_launch_op_count, name);
  if (op == NULL) op = find_in(scheduling_launch_ops, scheduling_launch_op_count, name);
  if (op == NULL) op = find_in(apart_launch_ops, apart_launch_op_count, name);
  return op;
}

static int run_one(struct launch *launch, struct field op_bytes, struct op_call *call) {
  struct reader reader = {.at = op_bytes.data, .end = op_bytes.data + op_bytes.size};
  int count = read_fields(reader, op_fields, FIELDS_MAX);
  if (count < 1 || !is_text(op_fields[0])) return op_fail(call, EINVAL, "read launch op");
  const struct launch_op *op = find(op_fields[0]);
  if (op == NULL) return op_fail(call, ENOSYS, "launch op %.64s", op_fields[0].data);
  call->args = op_fields + 1;
  call->count = count - 1;
  if (call->count < op->args_min || call->count > op->args_max)
    return op_fail(call, EINVAL, "%s: takes %d to %d arguments, got %d", op->name, op->args_min, op->args_max, call->count);
  /* The monitor goes on after clone too. */
  bool child = launch->report >= 0 && launch->cloned && launch->pid <= 0;
  if (child ? !op->in_child : !op->in_monitor)
    return op_fail(call, EINVAL, "%s: nothing for the %s", op->name, child ? "child" : "monitor");
  return op->run(launch, call);
}

/* Whether an op has this name and no arguments. */
static bool op_is(struct field op_bytes, const char *name) {
  struct reader reader = {.at = op_bytes.data, .end = op_bytes.data + op_bytes.size};
  struct field field;
  return read_field(&reader, &field) == 1 && field_is(field, name) && reader.at == reader.end;
}

static int find_word(const struct field *ops, int from, int count, const char *word) {
  while (from < count && !op_is(ops[from], word)) from++;
  return from;
}

static void report_failure(struct launch *launch, int index, int error, const char *what) {
  char data[1024];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_text(&writer, "failed");
  write_number(&writer, (uint64_t)error);
  write_text(&writer, what);
  write_number(&writer, (uint64_t)index);
  size_t size = write_end(&writer);
  if (size == 0) return;
  if (launch->framed) send(launch->report, data, size, MSG_NOSIGNAL);
  else send(launch->report, data + 4, size - 4, MSG_NOSIGNAL);
}

static void end_report(struct report *report, int error, const char *what) {
  report->kind = REPORT_FAILED;
  report->error = error;
  snprintf(report->what, sizeof report->what, "%s", what);
}

void read_report(const struct launch *launch, struct report *report) {
  static const struct {
    const char *word;
    enum report_kind kind;
  } words[] = {{"exec", REPORT_EXEC}, {"sync", REPORT_SYNC}, {"waiting", REPORT_WAITING}};
  *report = (struct report){.kind = REPORT_END, .fd = -1};
  char data[1024];
  struct iovec part = {.iov_base = data, .iov_len = sizeof data};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
  ssize_t got;
  do got = recvmsg(launch->report, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got <= 0) return;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (head != NULL && head->cmsg_type == SCM_RIGHTS) {
    memcpy(&report->fd, CMSG_DATA(head), sizeof report->fd);
    report->kind = REPORT_TERMINAL;
    return;
  }
#ifdef CRASH_POINTS
  if (got == 5 && memcmp(data, "crash", 5) == 0) {
    crash_heard();
    read_report(launch, report);
    return;
  }
#endif
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if ((size_t)got == strlen(words[i].word) && memcmp(data, words[i].word, (size_t)got) == 0) {
      report->kind = words[i].kind;
      return;
    }
  struct field fields[4];
  struct reader reader = {.at = data, .end = data + got};
  uint64_t error, index;
  if (read_fields(reader, fields, 4) != 4 || !field_number(fields[1], 4095, &error) || !field_number(fields[3], FIELDS_MAX, &index)) {
    end_report(report, EPROTO, "read the child's report");
    return;
  }
  report->index = (int)index;
  end_report(report, (int)error, fields[2].data);
}

int send_with_file(int socket, const char *word, int fd) {
  struct iovec part = {.iov_base = (void *)(uintptr_t)word, .iov_len = strlen(word)};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = space.bytes;
    message.msg_controllen = sizeof space.bytes;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int plan_monitor(struct launch *launch, const struct field *ops, int count, struct field rest, int *index, struct op_call *call) {
  int i = find_word(ops, 0, count, "monitor"), end = find_word(ops, i, count, "hand-over");
  if (end == count) return i == count && rest.size == 0 ? 0 : op_fail(call, EINVAL, "the monitor's part of the plan has no end");
  for (; i < end; i++) {
    *index = launch->ahead + i;
    crash_point(launch, *index);
    int result = op_is(ops[i], "monitor") ? 0 : run_one(launch, ops[i], call);
    if (result < 0) return result;
  }
  /* A child that is gone already says why in its report. */
  (void)send_held(launch, rest.size == 0 ? "go" : rest.data, rest.size == 0 ? 2 : rest.size);
  return 0;
}

/* A child whose plan ends early gets the rest. Its number of ops, or -errno. */
static int receive_rest(struct launch *launch, struct field *ops, struct op_call *call) {
  static char rest[POOLED_BYTES_MAX];
  if (send_with_file(launch->report, "waiting", -1) != 0) _exit(1);
  ssize_t got = receive_held(launch, rest, sizeof rest);
  /* Nobody wants it any more. */
  if (got == 0) _exit(0);
  int count = got < 0 ? -1 : read_fields((struct reader){.at = rest, .end = rest + got}, ops, FIELDS_MAX);
  return count < 0 ? op_fail(call, EPROTO, "read the rest of the plan") : count;
}

static _Noreturn void child_run(struct launch *launch, const struct field *ops, int first, int count) {
  static struct field rest[FIELDS_MAX];
  struct op_call call = {0};
  for (int i = first;; i++) {
    if (i == count && launch->pooled) {
      launch->ahead = count;
      launch->pooled = false;
      count = receive_rest(launch, rest, &call);
      if (count < 0) {
        report_failure(launch, launch->ahead, -count, call.what);
        _exit(1);
      }
      crash_prepare(launch->containers);
      ops = rest;
      i = 0;
    }
    if (i < count && op_is(ops[i], "monitor")) i = find_word(ops, i, count, "hand-over");
    if (i >= count) {
      report_failure(launch, launch->ahead + count, EINVAL, "the plan ends without exec");
      _exit(1);
    }
    crash_point(launch, launch->ahead + i);
    int result = run_one(launch, ops[i], &call);
    if (result < 0) {
      report_failure(launch, launch->ahead + i, -result, call.what);
      _exit(1);
    }
  }
}

int plan_run(struct launch *launch, const struct field *ops, int count, int *index, struct op_call *call) {
  for (int i = 0; i < count; i++) {
    *index = i;
    crash_point(launch, i);
    int result = run_one(launch, ops[i], call);
    if (result < 0) return result;
    if (launch->pid > 0) return launch->pooled ? 0 : plan_monitor(launch, ops, count, (struct field){.data = "", .size = 0}, index, call);
    if (launch->cloned) child_run(launch, ops, i + 1, count);
  }
  *index = count;
  return op_fail(call, EINVAL, "the plan ends without clone");
}

static const struct {
  const char *word;
  uint64_t flag;
} namespaces[] = {{"mount", CLONE_NEWNS}, {"pid", CLONE_NEWPID}, {"network", CLONE_NEWNET}, {"time", CLONE_NEWTIME},
                  {"user", CLONE_NEWUSER}, {"ipc", CLONE_NEWIPC},  {"uts", CLONE_NEWUTS}, {"cgroup", CLONE_NEWCGROUP}};

uint64_t namespace_flags(struct field words) {
  uint64_t flags = 0;
  for (size_t at = 0; at < words.size;) {
    size_t end = at;
    while (end < words.size && words.data[end] != ' ') end++;
    uint64_t flag = 0;
    for (size_t i = 0; i < sizeof namespaces / sizeof namespaces[0]; i++)
      if (strlen(namespaces[i].word) == end - at && memcmp(namespaces[i].word, words.data + at, end - at) == 0)
        flag = namespaces[i].flag;
    if (flag == 0) return 0;
    flags |= flag;
    at = end + 1;
  }
  return flags;
}

void close_all_but(unsigned first, int *keep, int count) {
  for (int i = 1; i < count; i++)
    for (int j = i; j > 0 && keep[j] < keep[j - 1]; j--) {
      int other = keep[j];
      keep[j] = keep[j - 1];
      keep[j - 1] = other;
    }
  unsigned from = first;
  for (int i = 0; i < count; i++) {
    if (keep[i] < (int)from) continue;
    if ((unsigned)keep[i] > from) sys_close_range(from, (unsigned)keep[i] - 1, 0);
    from = (unsigned)keep[i] + 1;
  }
  sys_close_range(from, ~0u, 0);
}

static int clone_child(struct launch *launch, struct op_call *call) {
  uint64_t flags = call->args[0].size > 0 ? namespace_flags(call->args[0]) : 0;
  if (call->args[0].size > 0 && flags == 0) return op_fail(call, EINVAL, "clone: namespaces");
  int report[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, report) != 0) return op_fail(call, errno, "clone: socket");
  int pidfd = -1;
  struct naru_clone_args args = {.flags = flags | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
  if (launch->cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = (uint64_t)launch->cgroup;
  }
  if (launch->is_apart && enter_apart(&launch->apart) != 0) return op_fail(call, errno, "enter the launcher's mount namespace");
  pid_t pid = sys_clone3(&args);
  if (pid != 0 && launch->is_apart) {
    int error = errno;
    /* Going on where the host's files are not to be found helps nobody. */
    if (leave_apart(&launch->apart) != 0) _exit(1);
    errno = error;
  }
  if (pid < 0) {
    int error = errno;
    close(report[0]);
    close(report[1]);
    return op_fail(call, error, "clone");
  }
  launch->cloned = true;
  launch->report = pid == 0 ? report[1] : report[0];
  if (pid != 0) close(report[1]);
  if (pid == 0) {
    /* Nothing of the host that is open here may be reached through /proc/self/fd of a root that is a stranger's. */
    int keep[9 + MOUNT_USERS_MAX] = {launch->report, launch->child_stdio[0], launch->child_stdio[1], launch->child_stdio[2],
                                     launch->target, launch->listener, launch->user_namespace, launch->seccomp_listener,
                                     crash_directory(launch)};
    memcpy(keep + 9, launch->mount_users, (size_t)launch->mount_user_count * sizeof keep[0]);
    close_all_but(3 + launch->preserved_files, keep, 9 + launch->mount_user_count);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(022);
    /* The only one that the monitor treats otherwise: what is ignored stays so over exec. */
    signal(SIGPIPE, SIG_DFL);
    return 0;
  }
  launch->pid = pid;
  launch->pidfd = pidfd;
  return 0;
}

/* clone <namespaces>: from here on the plan goes on in the child. */
static int op_clone(struct launch *launch, struct op_call *call) { return clone_child(launch, call); }

/* clone-apart <namespaces>: clone, but the child's mounts are a copy of the launcher's own, which have nothing of the host's files.
   What it needs of those is opened by the monitor, from `monitor` to `hand-over`. */
static int op_clone_apart(struct launch *launch, struct op_call *call) {
  if (launch->apart.namespace < 0 || (namespace_flags(call->args[0]) & CLONE_NEWNS) == 0) return op_fail(call, EINVAL, "clone-apart");
  launch->is_apart = true;
  return clone_child(launch, call);
}

/* stdio null|pipe|terminal|inherit <stdin 0|1> [<columns> <rows>] */
static int op_stdio(struct launch *launch, struct op_call *call) {
  bool terminal = field_is(call->args[0], "terminal");
  if (field_is(call->args[0], "inherit")) {
    for (int i = 0; i < 3; i++) launch->child_stdio[i] = i;
    return 0;
  }
  bool pipes = field_is(call->args[0], "pipe");
  if (!terminal && !pipes && !field_is(call->args[0], "null")) return op_fail(call, EINVAL, "stdio: kind");
  if (terminal) {
    uint64_t columns = 0, rows = 0;
    if (call->count == 4 && (!field_number(call->args[2], 65535, &columns) || !field_number(call->args[3], 65535, &rows)))
      return op_fail(call, EINVAL, "stdio: size");
    launch->terminal = true;
    launch->columns = (unsigned)columns;
    launch->rows = (unsigned)rows;
    return 0;
  }
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (null < 0) return op_fail(call, errno, "open /dev/null");
  for (int i = 0; i < 3; i++) launch->child_stdio[i] = null;
  int ends[2];
  if (field_is(call->args[1], "1")) {
    if (pipe2(ends, O_CLOEXEC) != 0) return op_fail(call, errno, "pipe");
    launch->child_stdio[0] = ends[0];
    launch->in = ends[1];
  }
  if (!pipes) return 0;
  if (pipe2(ends, O_CLOEXEC) != 0) return op_fail(call, errno, "pipe");
  launch->out = ends[0];
  launch->child_stdio[1] = ends[1];
  if (pipe2(ends, O_CLOEXEC) != 0) return op_fail(call, errno, "pipe");
  launch->err = ends[0];
  launch->child_stdio[2] = ends[1];
  return 0;
}

/* hold-output: nothing of it is read before someone attached. */
static int op_hold_output(struct launch *launch, struct op_call *call) {
  (void)call;
  launch->hold_output = true;
  return 0;
}

/* log <path> <bytes of a file> <files> */
static int op_log(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0]) || call->args[0].size > 4000 || !field_number(call->args[1], 1ull << 40, &launch->log_bytes_max) ||
      !field_number(call->args[2], 100, &launch->log_files_max))
    return op_fail(call, EINVAL, "log");
  launch->log_path = call->args[0];
  return 0;
}

/* oom-counter <file> <key>: where the kernel counts processes killed for want of memory. */
static int op_oom_counter(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0]) || !is_text(call->args[1])) return op_fail(call, EINVAL, "oom-counter");
  launch->oom_path = call->args[0];
  launch->oom_key = call->args[1];
  return 0;
}

/* Everybody may look into it, such as a container's user into its cgroup. */
static bool make_directory(const char *path) {
  mode_t mask = umask(022);
  bool there = mkdir(path, 0755) == 0 || errno == EEXIST;
  int error = errno;
  umask(mask);
  errno = error;
  return there;
}

/* make-directory <path>: with every parent that is absent. */
static int op_make_directory(struct launch *launch, struct op_call *call) {
  (void)launch;
  char path[4096];
  struct field to = call->args[0];
  if (!is_text(to) || to.size == 0 || to.size >= sizeof path || to.data[0] != '/') return op_fail(call, EINVAL, "make-directory");
  memcpy(path, to.data, to.size + 1);
  /* A neighbour that goes takes the empty directory above away, maybe in between. */
  for (int tries = 0; !make_directory(path); tries++) {
    if (errno != ENOENT || tries == DIRECTORY_TRIES_MAX) return op_fail(call, errno, "make directory %s", path);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
      *slash = 0;
      if (!make_directory(path) && errno != ENOENT) return op_fail(call, errno, "make directory %s", path);
      *slash = '/';
    }
  }
  return 0;
}

static int do_write(struct op_call *call) {
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "write");
  const char *path = call->args[0].data;
  if (write_file(path, call->args[1].data, call->args[1].size) != 0)
    return op_fail(call, errno, "write %.60s to %.300s", is_text(call->args[1]) ? call->args[1].data : "bytes", path);
  return 0;
}

/* write <path> <bytes> */
static int op_write(struct launch *launch, struct op_call *call) {
  (void)launch;
  return do_write(call);
}

/* try-write <path> <bytes>: as far as the machine's limits for the launcher itself and the kernel's configuration let it. */
static int op_try_write(struct launch *launch, struct op_call *call) {
  (void)launch;
  int result = do_write(call);
  return result == -EACCES || result == -EPERM || result == -ENOENT || result == -EOPNOTSUPP ? 0 : result;
}

/* into-cgroup <directory>: clone puts the child there (cgroup v2). */
static int op_into_cgroup(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "into-cgroup");
  launch->cgroup = open(call->args[0].data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return launch->cgroup < 0 ? op_fail(call, errno, "open cgroup %s", call->args[0].data) : 0;
}

/* device-filter <cgroup> <program>: an array of struct bpf_insn that decides over the cgroup's devices (cgroup v2). */
static int op_device_filter(struct launch *launch, struct op_call *call) {
  (void)launch;
  size_t size = call->args[1].size;
  if (!is_text(call->args[0]) || size == 0 || size % sizeof(struct bpf_insn) != 0) return op_fail(call, EINVAL, "device-filter");
  int cgroup = open(call->args[0].data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (cgroup < 0) return op_fail(call, errno, "open cgroup %s", call->args[0].data);
  static const char license[] = "Apache-2.0";
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                         .insns = (uint64_t)(uintptr_t)call->args[1].data,
                         .insn_cnt = (uint32_t)(size / sizeof(struct bpf_insn)),
                         .license = (uint64_t)(uintptr_t)license};
  int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  union bpf_attr attach = {.target_fd = (uint32_t)cgroup, .attach_bpf_fd = (uint32_t)program, .attach_type = BPF_CGROUP_DEVICE};
  int result = program < 0 ? -1 : (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach);
  int error = errno;
  if (program >= 0) close(program);
  close(cgroup);
  return result < 0 ? op_fail(call, error, "attach device filter to cgroup %s", call->args[0].data) : 0;
}

/* pid-namespace <path>: for the child to come. */
static int op_pid_namespace(struct launch *launch, struct op_call *call) {
  (void)launch;
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "pid-namespace");
  int fd = open(call->args[0].data, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWPID) != 0) return op_fail(call, errno, "enter pid namespace %s", call->args[0].data);
  close(fd);
  return 0;
}

/* target <pid> <start time>: the process whose namespaces `enter` is about; the same process still, not just the same number. */
static int op_target(struct launch *launch, struct op_call *call) {
  uint64_t pid, start;
  if (!field_number(call->args[0], 1u << 30, &pid) || !field_number(call->args[1], UINT64_MAX, &start))
    return op_fail(call, EINVAL, "target");
  launch->target = sys_pidfd_open((pid_t)pid);
  if (launch->target < 0 || process_start((pid_t)pid) != start) return op_fail(call, ESRCH, "container's process");
  return 0;
}

/* enter <namespaces>: those of the target. A pid namespace is entered before clone, everything else after. */
static int op_enter(struct launch *launch, struct op_call *call) {
  uint64_t flags = namespace_flags(call->args[0]);
  if (launch->target < 0 || flags == 0 || ((flags & CLONE_NEWPID) != 0) == launch->cloned) return op_fail(call, EINVAL, "enter");
  if (setns(launch->target, (int)flags) != 0) return op_fail(call, errno, "enter the container's namespaces");
  if (flags & CLONE_NEWNS) {
    launch->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (launch->root < 0) return op_fail(call, errno, "open the container's root");
  }
  return 0;
}

const struct launch_op monitor_launch_ops[] = {
    {"stdio", 2, 4, true, false, op_stdio},
    {"hold-output", 0, 0, true, false, op_hold_output},
    {"log", 3, 3, true, false, op_log},
    {"oom-counter", 2, 2, true, false, op_oom_counter},
    {"make-directory", 1, 1, true, false, op_make_directory},
    {"write", 2, 2, true, true, op_write},
    {"try-write", 2, 2, true, true, op_try_write},
    {"into-cgroup", 1, 1, true, false, op_into_cgroup},
    {"device-filter", 2, 2, true, false, op_device_filter},
    {"pid-namespace", 1, 1, true, false, op_pid_namespace},
    {"target", 2, 2, true, false, op_target},
    {"enter", 1, 1, true, true, op_enter},
    {"clone", 1, 1, true, false, op_clone},
    {"clone-apart", 1, 1, true, false, op_clone_apart},
};
const int monitor_launch_op_count = sizeof monitor_launch_ops / sizeof monitor_launch_ops[0];
