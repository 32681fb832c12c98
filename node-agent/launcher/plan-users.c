/* Launch ops about user namespaces: a container's users are others on the host. Its files are mounted by the host's root, with users
   mapped; then the child enters the namespace, and takes mounts of its own there, which it may change as far as it may there. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <sched.h>
#include <sys/stat.h>

/* user-namespace <path> <its root's number on the host> */
static int op_user_namespace(struct launch *launch, struct op_call *call) {
  uint64_t root;
  if (!is_text(call->args[0]) || !field_number(call->args[1], UINT32_MAX - 1, &root)) return op_fail(call, EINVAL, "user-namespace");
  launch->user_namespace = open(call->args[0].data, O_RDONLY | O_CLOEXEC);
  if (launch->user_namespace < 0) return op_fail(call, errno, "open user namespace %s", call->args[0].data);
  make_in_root_for((uid_t)root);
  return 0;
}

/* own <directory of the host> <uid and gid>: such as the one that the container writes to. */
static int op_own(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t id;
  if (!is_text(call->args[0]) || !field_number(call->args[1], UINT32_MAX - 1, &id)) return op_fail(call, EINVAL, "own");
  int fd = open(call->args[0].data, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int result = fd < 0 || fchown(fd, (uid_t)id, (gid_t)id) != 0 ? op_fail(call, errno, "give %s away", call->args[0].data) : 0;
  if (fd >= 0) close(fd);
  return result;
}

/* own-stdio <uid>: pipes and the terminal, which the user's programs may open again. */
static int op_own_stdio(struct launch *launch, struct op_call *call) {
  uint64_t id;
  if (!field_number(call->args[0], UINT32_MAX - 1, &id)) return op_fail(call, EINVAL, "own-stdio");
  for (int i = 0; i < 3; i++) {
    struct stat info;
    int fd = launch->child_stdio[i];
    if (fd < 0 || fstat(fd, &info) != 0 || (!S_ISFIFO(info.st_mode) && !isatty(fd))) continue;
    if (fchown(fd, (uid_t)id, (gid_t)-1) != 0) return op_fail(call, errno, "give stdio away");
  }
  return 0;
}

/* enter-users: the namespace that user-namespace opened, and mounts of its own in it. */
static int op_enter_users(struct launch *launch, struct op_call *call) {
  if (launch->user_namespace < 0) return op_fail(call, EINVAL, "enter-users");
  if (setns(launch->user_namespace, CLONE_NEWUSER) != 0) return op_fail(call, errno, "enter user namespace");
  close(launch->user_namespace);
  launch->user_namespace = -1;
  return unshare(CLONE_NEWNS) != 0 ? op_fail(call, errno, "take mounts into the user namespace") : 0;
}

const struct launch_op user_launch_ops[] = {
    {"user-namespace", 2, 2, false, true, op_user_namespace},
    {"own", 2, 2, false, true, op_own},
    {"own-stdio", 1, 1, false, true, op_own_stdio},
    {"enter-users", 0, 0, false, true, op_enter_users},
};
const int user_launch_op_count = sizeof user_launch_ops / sizeof user_launch_ops[0];
