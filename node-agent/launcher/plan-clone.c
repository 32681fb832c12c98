/* Launch ops about where a process begins: cloned into namespaces of its own, or on its way into those of another. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

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

/* pid-namespace <path>: for the child to come. */
static int op_pid_namespace(struct launch *launch, struct op_call *call) {
  (void)launch;
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "pid-namespace");
  int fd = open_path(call->args[0].data, O_RDONLY);
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
    launch->root = open_path("/", O_PATH | O_DIRECTORY);
    if (launch->root < 0) return op_fail(call, errno, "open the container's root");
  }
  return 0;
}

const struct launch_op clone_launch_ops[] = {
    {"pid-namespace", 1, 1, true, false, op_pid_namespace},
    {"target", 2, 2, true, false, op_target},
    {"enter", 1, 1, true, true, op_enter},
    {"clone", 1, 1, true, false, op_clone},
    {"clone-apart", 1, 1, true, false, op_clone_apart},
};
const int clone_launch_op_count = sizeof clone_launch_ops / sizeof clone_launch_ops[0];
