/* Launch ops about user namespaces: a container's users are others on the host. Its files are mounted by the host's root, with users
   mapped; then the child enters the namespace, and takes mounts of its own there, which it may change as far as it may there. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* user-namespace <path> <its root's number on the host> */
static int op_user_namespace(struct launch *launch, struct op_call *call) {
  uint64_t root;
  if (!is_text(call->args[0]) || !field_number(call->args[1], UINT32_MAX - 1, &root)) return op_fail(call, EINVAL, "user-namespace");
  launch->user_namespace = open(call->args[0].data, O_RDONLY | O_CLOEXEC);
  if (launch->user_namespace < 0) return op_fail(call, errno, "open user namespace %s", call->args[0].data);
  make_in_root_for((uid_t)root, (gid_t)root);
  return 0;
}

/* In a process of its own: a user namespace, made or entered, and others in it, so that its root rules over them. */
static _Noreturn void be_users(int socket, const char *path, uint64_t namespaces) {
  char go;
  int error = 0, fd = path[0] == 0 ? -1 : open(path, O_RDONLY | O_CLOEXEC);
  /* The kernel makes no user namespace below a chroot. */
  if (path[0] == 0 ? enter_namespace_root() != 0 || unshare(CLONE_NEWUSER) != 0 : fd < 0 || setns(fd, CLONE_NEWUSER) != 0) error = errno;
  (void)!write(socket, &error, sizeof error);
  if (error != 0 || read(socket, &go, 1) != 1) _exit(1);
  /* There may be no root among its users; its first process rules over it all the same. */
  (void)!syscall(SYS_setresgid, 0, 0, 0);
  (void)!syscall(SYS_setresuid, 0, 0, 0);
  if (namespaces != 0 && unshare((int)namespaces) != 0) error = errno;
  (void)!write(socket, &error, sizeof error);
  (void)!read(socket, &go, 1);
  _exit(0);
}

static int hear(struct op_call *call, int socket, const char *what) {
  int error;
  if (read(socket, &error, sizeof error) != (ssize_t)sizeof error) error = ECHILD;
  return error != 0 ? op_fail(call, error, "%s", what) : 0;
}

static int map_users(struct op_call *call, pid_t pid, struct field uids, struct field gids) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
  if (write_file(path, uids.data, uids.size) != 0) return op_fail(call, errno, "map users");
  snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
  return write_file(path, gids.data, gids.size) != 0 ? op_fail(call, errno, "map groups") : 0;
}

/* The user namespace as an open file, and this process in the others. */
static int take_users(struct op_call *call, pid_t pid, uint64_t namespaces) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
  int users = open(path, O_RDONLY | O_CLOEXEC), pidfd = sys_pidfd_open(pid);
  int result = users < 0 || pidfd < 0 || (namespaces != 0 && setns(pidfd, (int)namespaces) != 0)
                   ? op_fail(call, errno, "enter the user namespace's others")
                   : users;
  if (pidfd >= 0) close(pidfd);
  if (result < 0 && users >= 0) close(users);
  return result;
}

static int make_users(struct op_call *call, const char *path, struct field uids, struct field gids, uint64_t namespaces) {
  int sockets[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) return op_fail(call, errno, "make user namespace");
  pid_t pid = fork();
  if (pid == 0) {
    close(sockets[0]);
    be_users(sockets[1], path, namespaces);
  }
  close(sockets[1]);
  int result = pid < 0 ? op_fail(call, errno, "make user namespace") : hear(call, sockets[0], path[0] == 0 ? "make user namespace" : path);
  if (result == 0 && path[0] == 0) result = map_users(call, pid, uids, gids);
  if (result == 0) result = write(sockets[0], "", 1) == 1 ? hear(call, sockets[0], "make namespaces") : op_fail(call, errno, "make namespaces");
  if (result == 0) result = take_users(call, pid, namespaces);
  close(sockets[0]);
  if (pid > 0) waitpid(pid, NULL, __WALL);
  return result;
}

/* users <path or ""> <uid_map> <gid_map> <namespaces> <its root's user> <group>: the container's, and namespaces that its root rules over */
static int op_users(struct launch *launch, struct op_call *call) {
  uint64_t uid, gid, namespaces = call->args[3].size > 0 ? namespace_flags(call->args[3]) : 0;
  for (int i = 0; i < call->count; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "users");
  if ((call->args[3].size > 0 && namespaces == 0) || !field_number(call->args[4], UINT32_MAX - 1, &uid) ||
      !field_number(call->args[5], UINT32_MAX - 1, &gid))
    return op_fail(call, EINVAL, "users");
  int users = make_users(call, call->args[0].data, call->args[1], call->args[2], namespaces);
  if (users < 0) return users;
  launch->user_namespace = users;
  make_in_root_for((uid_t)uid, (gid_t)gid);
  return 0;
}

/* mount-users <uid_map> <gid_map>: for mounts that say "idmap:" and its number, from 0 on */
static int op_mount_users(struct launch *launch, struct op_call *call) {
  if (launch->mount_user_count >= MOUNT_USERS_MAX) return op_fail(call, E2BIG, "mount-users: more than %d", MOUNT_USERS_MAX);
  int users = make_users(call, "", call->args[0], call->args[1], 0);
  if (users < 0) return users;
  launch->mount_users[launch->mount_user_count++] = users;
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
    {"users", 6, 6, true, false, op_users},
    {"mount-users", 2, 2, true, false, op_mount_users},
    {"own", 2, 2, true, true, op_own},
    {"own-stdio", 1, 1, false, true, op_own_stdio},
    {"enter-users", 0, 0, false, true, op_enter_users},
};
const int user_launch_op_count = sizeof user_launch_ops / sizeof user_launch_ops[0];
