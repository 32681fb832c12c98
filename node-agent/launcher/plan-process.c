/* Launch ops about what a container's process is: its namespaces, limits, user, capabilities, system call filter, program. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define GROUPS_MAX 1024

/* setns <namespace> <path> */
static int op_setns(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t flag = namespace_flags(call->args[0]);
  if (flag == 0 || !is_text(call->args[1])) return op_fail(call, EINVAL, "setns");
  int fd = open(call->args[1].data, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, (int)flag) != 0)
    return op_fail(call, errno, "enter %.20s namespace %.300s", call->args[0].data, call->args[1].data);
  close(fd);
  return 0;
}

/* unshare <namespaces> */
static int op_unshare(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t flags = namespace_flags(call->args[0]);
  if (flags == 0) return op_fail(call, EINVAL, "unshare");
  return unshare((int)flags) != 0 ? op_fail(call, errno, "unshare %s", call->args[0].data) : 0;
}

/* loopback: lo of a new network namespace is down. */
static int op_loopback(struct launch *launch, struct op_call *call) {
  (void)launch;
  return bring_loopback_up() != 0 ? op_fail(call, errno, "bring lo up") : 0;
}

/* hostname <name> */
static int op_hostname(struct launch *launch, struct op_call *call) {
  (void)launch;
  return sethostname(call->args[0].data, call->args[0].size) != 0 ? op_fail(call, errno, "set hostname") : 0;
}

/* rlimit <number> <soft> <hard>; 2^64-1 is no limit */
static int op_rlimit(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t resource, soft, hard;
  if (!field_number(call->args[0], RLIM_NLIMITS - 1, &resource) || !field_number(call->args[1], UINT64_MAX, &soft) ||
      !field_number(call->args[2], UINT64_MAX, &hard))
    return op_fail(call, EINVAL, "rlimit");
  struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
  return setrlimit((int)resource, &limit) != 0 ? op_fail(call, errno, "set resource limit %d", (int)resource) : 0;
}

/* cwd <path>. A directory outside the root has no path that starts with "/" (CVE-2024-21626). */
static int op_cwd(struct launch *launch, struct op_call *call) {
  if (launch->root >= 0) close(launch->root);
  launch->root = -1;
  char seen[4096];
  if (!is_text(call->args[0]) || call->args[0].data[0] != '/') return op_fail(call, EINVAL, "cwd: not an absolute path");
  if (chdir(call->args[0].data) != 0) return op_fail(call, errno, "change directory to %s", call->args[0].data);
  long size = syscall(SYS_getcwd, seen, sizeof seen);
  if (size <= 0 || seen[0] != '/') return op_fail(call, EPERM, "change directory to %s: it lies outside", call->args[0].data);
  return 0;
}

/* What the launcher itself does not hold, it cannot give. */
static uint64_t held_capabilities(void) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {0};
  if (syscall(SYS_capget, &head, data) != 0) return 0;
  return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

/* bounding <mask>: what no program started from here on can ever have again is dropped. */
static int op_bounding(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t keep;
  if (!field_number(call->args[0], UINT64_MAX, &keep)) return op_fail(call, EINVAL, "bounding");
  for (int capability = 0; capability < 64; capability++) {
    if (keep >> capability & 1) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    if (errno == EINVAL) break;
    return op_fail(call, errno, "drop capability %d", capability);
  }
  return 0;
}

/* user <uid> <gid> <more gids…> */
static int op_user(struct launch *launch, struct op_call *call) {
  uint64_t uid, gid, more;
  gid_t groups[GROUPS_MAX];
  int count = call->count - 2;
  if (!field_number(call->args[0], UINT32_MAX - 1, &uid) || !field_number(call->args[1], UINT32_MAX - 1, &gid) || count > GROUPS_MAX)
    return op_fail(call, EINVAL, "user");
  for (int i = 0; i < count; i++) {
    if (!field_number(call->args[2 + i], UINT32_MAX - 1, &more)) return op_fail(call, EINVAL, "user");
    groups[i] = (gid_t)more;
  }
  launch->uid = (unsigned)uid;
  /* So that /dev/stdout can be opened by the user too. Not /dev/null, which is everybody's. */
  for (int i = 0; i < 3 && uid != 0; i++) {
    struct stat info;
    int fd = launch->child_stdio[i];
    if (fd >= 0 && fstat(fd, &info) == 0 && (S_ISFIFO(info.st_mode) || isatty(fd))) (void)!fchown(fd, (uid_t)uid, (gid_t)-1);
  }
  /* The system calls themselves: the library's versions would look for threads first. */
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0 || syscall(SYS_setgroups, (size_t)count, groups) != 0 ||
      syscall(SYS_setresgid, gid, gid, gid) != 0 || syscall(SYS_setresuid, uid, uid, uid) != 0)
    return op_fail(call, errno, "become user %u:%u", (unsigned)uid, (unsigned)gid);
  return 0;
}

/* capabilities <effective> [<permitted> <inheritable> <ambient>]: permitted are as effective, the others none. */
static int op_capabilities(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t set[4] = {0}, held = held_capabilities();
  for (int i = 0; i < call->count; i++)
    if (call->count == 2 || call->count == 3 || !field_number(call->args[i], UINT64_MAX, &set[i])) return op_fail(call, EINVAL, "capabilities");
  if (call->count == 1) set[1] = set[0];
  for (int i = 0; i < 4; i++) set[i] &= held;
  uint64_t effective = set[0] & set[1], permitted = set[1], inheritable = set[2], ambient = set[3] & set[1] & set[2];
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  for (int i = 0; i < 2; i++)
    data[i] = (struct __user_cap_data_struct){.effective = (uint32_t)(effective >> 32 * i),
                                              .permitted = (uint32_t)(permitted >> 32 * i),
                                              .inheritable = (uint32_t)(inheritable >> 32 * i)};
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (syscall(SYS_capset, &head, data) != 0 || prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) != 0) return op_fail(call, errno, "set capabilities");
  for (int i = 0; i < 64; i++)
    if ((ambient >> i & 1) != 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, i, 0, 0) != 0)
      return op_fail(call, errno, "raise ambient capability %d", i);
  return 0;
}

/* keyring: a new session keyring, so that no key of the launcher's or of another container's is in reach. */
static int op_keyring(struct launch *launch, struct op_call *call) {
  (void)launch;
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS) return op_fail(call, errno, "make session keyring");
  return 0;
}

/* no-new-privileges */
static int op_no_new_privileges(struct launch *launch, struct op_call *call) {
  (void)launch;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ? op_fail(call, errno, "set no new privileges") : 0;
}

static int report_exec(const struct launch *launch) {
  if (!launch->framed) return send_with_file(launch->report, "exec", -1);
  char data[32];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_text(&writer, "exec");
  size_t size = write_end(&writer);
  return send(launch->report, data, size, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* Its standard files are in place, and none but those and the report is open: the program's path may lead through /proc/self/fd.
   From here on the monitor counts a failure that says nothing as the program's own end. */
static int settle(struct launch *launch, struct op_call *call) {
  if (launch->settled) return 0;
  if (report_exec(launch) != 0) _exit(1);
  for (int i = 0; i < 3; i++) {
    if (dup2(launch->child_stdio[i], i) < 0) return op_fail(call, errno, "set up stdio");
    launch->child_stdio[i] = i;
  }
  int last = 3 + (int)launch->preserved_files;
  if (launch->report != last) {
    if (dup3(launch->report, last, O_CLOEXEC) < 0) return op_fail(call, errno, "close files");
    launch->report = last;
  }
  if (launch->seccomp_listener >= 0 && launch->seccomp_listener != ++last) {
    if (dup3(launch->seccomp_listener, last, O_CLOEXEC) < 0) return op_fail(call, errno, "close files");
    launch->seccomp_listener = last;
  }
  if (sys_close_range((unsigned)last + 1, ~0u, 0) != 0) return op_fail(call, errno, "close files");
  launch->settled = true;
  return 0;
}

/* Hands the filter's listener to whoever is to decide, with what the process is: three texts around its number, twice. */
static int send_listener(struct launch *launch, struct op_call *call, int listener) {
  static char state[64 * 1024];
  int size = snprintf(state, sizeof state, "%s%d%s%d%s", call->args[2].data, launch->host_pid, call->args[3].data, launch->host_pid,
                      call->args[4].data);
  if (size < 0 || (size_t)size >= sizeof state) return op_fail(call, E2BIG, "describe the process to the seccomp listener");
  int result = send_with_file(launch->seccomp_listener, state, listener) != 0 ? op_fail(call, errno, "hand over the seccomp listener") : 0;
  close(listener);
  close(launch->seccomp_listener);
  return result;
}

/* seccomp <filter> [<flags> <state up to the pid> <up to the second> <behind it>]: an array of struct sock_filter, and what
   seccomp-listener is told. The filter may forbid what is needed to get ready, so that is done before. */
static int op_seccomp(struct launch *launch, struct op_call *call) {
  size_t size = call->args[0].size;
  uint64_t flags = 0;
  if (size == 0 || size % sizeof(struct sock_filter) != 0 || size / sizeof(struct sock_filter) > BPF_MAXINSNS)
    return op_fail(call, EINVAL, "seccomp: size of filter");
  if (call->count > 1 && !field_number(call->args[1], UINT32_MAX, &flags)) return op_fail(call, EINVAL, "seccomp: flags");
  bool listens = launch->seccomp_listener >= 0;
  if (listens && call->count != 5) return op_fail(call, EINVAL, "seccomp: state");
  if (listens) flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
  /* A frame's strings lie anywhere; the kernel does not mind, but C does. */
  struct sock_filter *filter = malloc(size);
  if (filter == NULL) return op_fail(call, ENOMEM, "seccomp");
  memcpy(filter, call->args[0].data, size);
  struct sock_fprog program = {.len = (unsigned short)(size / sizeof *filter), .filter = filter};
  int settled = settle(launch, call);
  if (settled < 0) return settled;
  long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
  if (result < 0) return op_fail(call, errno, "load system call filter");
  return listens ? send_listener(launch, call, (int)result) : 0;
}

/* die-with-monitor: nobody else would ever record its end. */
static int op_die_with_monitor(struct launch *launch, struct op_call *call) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0) return op_fail(call, errno, "tie to monitor");
  struct pollfd gone = {.fd = launch->report, .events = 0};
  if (poll(&gone, 1, 0) > 0 && (gone.revents & (POLLHUP | POLLERR))) _exit(1);
  return 0;
}

/* session: its own session and process group; a terminal, when there is one, becomes its controlling one. */
static int op_session(struct launch *launch, struct op_call *call) {
  if (setsid() < 0) return op_fail(call, errno, "start session");
  if (launch->terminal && ioctl(launch->child_stdio[0], TIOCSCTTY, 0) != 0) return op_fail(call, errno, "take terminal");
  return 0;
}

static const char *search_path(char *const *environment) {
  for (; *environment != NULL; environment++)
    if (strncmp(*environment, "PATH=", 5) == 0) return *environment + 5;
  return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static int exec_search(char *const *args, char *const *environment) {
  if (strchr(args[0], '/') != NULL) {
    execve(args[0], args, environment);
    return errno;
  }
  int error = ENOENT;
  char path[4096];
  for (const char *at = search_path(environment);;) {
    size_t size = strcspn(at, ":");
    int wrote = snprintf(path, sizeof path, "%.*s%s%s", (int)size, at, size > 0 ? "/" : "./", args[0]);
    if (wrote > 0 && (size_t)wrote < sizeof path) {
      execve(path, args, environment);
      if (errno == EACCES || errno == ENOEXEC) error = errno;
      else if (errno != ENOENT && errno != ENOTDIR) return errno;
    }
    if (at[size] == 0) return error;
    at += size + 1;
  }
}

/* 0, ENOENT or EACCES: as exec would say, without trying. */
static int look_for(const char *name, char *const *environment) {
  if (strchr(name, '/') != NULL) return faccessat(AT_FDCWD, name, X_OK, AT_EACCESS) == 0 ? 0 : errno;
  int error = ENOENT;
  char path[4096];
  for (const char *at = search_path(environment);;) {
    size_t size = strcspn(at, ":");
    int wrote = snprintf(path, sizeof path, "%.*s%s%s", (int)size, at, size > 0 ? "/" : "./", name);
    if (wrote > 0 && (size_t)wrote < sizeof path) {
      if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0) return 0;
      if (errno == EACCES) error = EACCES;
    }
    if (at[size] == 0) return error;
    at += size + 1;
  }
}

/* find-program <name> <directory> <environment…>: fails early as exec in that directory would. */
static int op_find_program(struct launch *launch, struct op_call *call) {
  (void)launch;
  static char *environment[FIELDS_MAX + 1];
  for (int i = 0; i < call->count; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "find-program");
  for (int i = 2; i < call->count; i++) environment[i - 2] = (char *)(uintptr_t)call->args[i].data;
  environment[call->count - 2] = NULL;
  const char *name = call->args[0].data;
  if (name[0] == 0) return op_fail(call, ENOENT, "exec \"\"");
  if (chdir(call->args[1].data) != 0) return op_fail(call, errno, "change directory to %s", call->args[1].data);
  int error = look_for(name, environment);
  return error != 0 || chdir("/") != 0 ? op_fail(call, error != 0 ? error : errno, "exec %s", name) : 0;
}

/* exec <number of arguments> <arguments…> <environment…> */
static int op_exec(struct launch *launch, struct op_call *call) {
  static char *args[FIELDS_MAX + 1], *environment[FIELDS_MAX + 1];
  uint64_t count;
  if (!field_number(call->args[0], (uint64_t)call->count - 1, &count) || count == 0) return op_fail(call, EINVAL, "exec: arguments");
  for (int i = 1; i < call->count; i++) {
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "exec: a zero byte in an argument or variable");
    bool argument = (uint64_t)i <= count;
    (argument ? args : environment)[argument ? i - 1 : i - 1 - (int)count] = (char *)call->args[i].data;
  }
  if (args[0][0] == 0) return op_fail(call, ENOENT, "exec \"\"");
  int settled = settle(launch, call);
  if (settled < 0) return settled;
  return op_fail(call, exec_search(args, environment), "exec %s", args[0]);
}

const struct launch_op process_launch_ops[] = {
    {"setns", 2, 2, false, true, op_setns},
    {"unshare", 1, 1, false, true, op_unshare},
    {"loopback", 0, 0, false, true, op_loopback},
    {"hostname", 1, 1, false, true, op_hostname},
    {"rlimit", 3, 3, false, true, op_rlimit},
    {"cwd", 1, 1, false, true, op_cwd},
    {"bounding", 1, 1, false, true, op_bounding},
    {"user", 2, 2 + GROUPS_MAX, false, true, op_user},
    {"capabilities", 1, 4, false, true, op_capabilities},
    {"keyring", 0, 0, false, true, op_keyring},
    {"no-new-privileges", 0, 0, false, true, op_no_new_privileges},
    {"seccomp", 1, 5, false, true, op_seccomp},
    {"die-with-monitor", 0, 0, false, true, op_die_with_monitor},
    {"session", 0, 0, false, true, op_session},
    {"find-program", 2, FIELDS_MAX, false, true, op_find_program},
    {"exec", 2, FIELDS_MAX, false, true, op_exec},
};
const int process_launch_op_count = sizeof process_launch_ops / sizeof process_launch_ops[0];
