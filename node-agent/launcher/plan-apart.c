/* Containers that begin apart: in a copy of a mount namespace that the launcher made for it, with an empty root, places for /proc, /dev
   and /sys, and /dev/null. A copy of the host's mounts would grow with the host, and show its files. What a container needs of those is
   opened by its monitor and handed over. Its root at last covers all of this; there is nothing in it that anybody could want. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* --- the namespace ---------------------------------------------------------------------------------------------------------- */

static int make_tree(void) {
  int fs = sys_fsopen("tmpfs", FSOPEN_CLOEXEC), tree = -1;
  if (fs >= 0 && sys_fsconfig(fs, FSCONFIG_SET_STRING, "size", "4k") == 0 && sys_fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "16") == 0 &&
      sys_fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0755") == 0 && sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL) == 0)
    tree = sys_fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  int error = errno;
  if (fs >= 0) close(fs);
  errno = error;
  return tree;
}

static int place_tree(int tree, const char *path) {
  int on = open_path(path, O_PATH);
  int result = on < 0 ? -1 : sys_move_mount(tree, on);
  if (on >= 0) close(on);
  close(tree);
  return result;
}

static int fill_tree(int null) {
  static const char *const places[] = {"root", "stage", "stage/proc", "stage/dev", "stage/sys"};
  mode_t mask = umask(022);
  int result = 0;
  for (size_t i = 0; i < sizeof places / sizeof places[0] && result == 0; i++) result = mkdir(places[i], 0755);
  umask(mask);
  int file = result == 0 ? open("null", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;
  if (file < 0) return -1;
  close(file);
  return place_tree(null, "null");
}

/* A copy of a mount that shares nothing with it. */
static int private_tree(const char *path) {
  int tree = sys_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  return tree >= 0 && sys_mount_setattr(tree, 0, 0, 0, MS_PRIVATE) == 0 ? tree : -1;
}

/* In a copy of this process's mounts. `here` is a directory of it that can be covered. */
static int empty_namespace(int here) {
  int null = private_tree("/dev/null"), own = open_path("/proc/self/ns/mnt", O_RDONLY);
  if (null < 0 || own < 0 || enter_namespace_root() != 0 || sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return -1;
  int tree = make_tree();
  if (tree < 0 || sys_move_mount(tree, here) != 0 || fchdir(tree) != 0 || fill_tree(null) != 0 ||
      sys_mount_setattr(tree, 0, MOUNT_ATTR_RDONLY, 0, 0) != 0)
    return -1;
  close(tree);
  return sys_pivot_root(".", ".") != 0 || sys_umount(".", UNMOUNT_DETACH) != 0 ? -1 : own;
}

int make_apart(struct apart *apart) {
  apart->home = open_path("/proc/self/ns/mnt", O_RDONLY);
  apart->home_root = open_path("/", O_PATH | O_DIRECTORY);
  if (apart->home < 0 || apart->home_root < 0 || unshare(CLONE_NEWNS) != 0) return -1;
  int here = open_path(".", O_PATH | O_DIRECTORY);
  apart->namespace = here < 0 ? -1 : empty_namespace(here);
  int error = errno;
  if (here >= 0) close(here);
  if (leave_apart(apart) != 0) return -1;
  errno = error;
  return apart->namespace < 0 ? -1 : 0;
}

int enter_apart(const struct apart *apart) { return setns(apart->namespace, CLONE_NEWNS); }

/* The root is not always the namespace's: the agent may run in a chroot. */
int leave_apart(const struct apart *apart) {
  return setns(apart->home, CLONE_NEWNS) != 0 || fchdir(apart->home_root) != 0 || chroot(".") != 0 ? -1 : 0;
}

/* --- handing over ----------------------------------------------------------------------------------------------------------- */

int hold_file(struct launch *launch, struct op_call *call, int fd, const char *destination) {
  if (launch->held_count >= HELD_MAX) {
    close(fd);
    return op_fail(call, EINVAL, "hold: more than %d", HELD_MAX);
  }
  launch->held[launch->held_count++] = (struct held){.fd = fd, .destination = destination};
  return 0;
}

int take_held(struct launch *launch, struct op_call *call) {
  return launch->placed < launch->held_count ? launch->held[launch->placed++].fd : op_fail(call, EINVAL, "nothing is held");
}

union files {
  char bytes[CMSG_SPACE(HELD_MAX * sizeof(int))];
  struct cmsghdr align;
};

int send_held(struct launch *launch, const char *data, size_t size) {
  struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
  union files space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  size_t bytes = (size_t)launch->held_count * sizeof(int);
  if (bytes > 0) {
    message.msg_control = space.bytes;
    message.msg_controllen = (socklen_t)CMSG_SPACE(bytes);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = (socklen_t)CMSG_LEN(bytes);
    for (int i = 0; i < launch->held_count; i++) memcpy(CMSG_DATA(head) + (size_t)i * sizeof(int), &launch->held[i].fd, sizeof(int));
  }
  int result = sendmsg(launch->report, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
  for (int i = 0; i < launch->held_count; i++) close(launch->held[i].fd);
  launch->held_count = 0;
  return result;
}

ssize_t receive_held(struct launch *launch, char *data, size_t capacity) {
  struct iovec part = {.iov_base = data, .iov_len = capacity};
  union files space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
  ssize_t got;
  do got = recvmsg(launch->report, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && errno == EINTR);
  if (got > 0 && (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    errno = EMSGSIZE;
    return -1;
  }
  struct cmsghdr *head = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  launch->held_count = launch->placed = 0;
  if (head != NULL && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS) {
    int count = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    for (int i = 0; i < count; i++) {
      launch->held[i] = (struct held){.fd = -1, .destination = ""};
      memcpy(&launch->held[i].fd, CMSG_DATA(head) + (size_t)i * sizeof(int), sizeof(int));
    }
    launch->held_count = count;
  }
  return got;
}

/* monitor, hand-over: what stands between them is a part of the monitor's, which it performs while the child is still busy before it. */
static int op_hand_over(struct launch *launch, struct op_call *call) {
  char word[8];
  if (launch->handed_over) {
    launch->handed_over = false;
    return 0;
  }
  ssize_t got = receive_held(launch, word, sizeof word);
  /* The monitor failed, and has said so. */
  if (got == 0) _exit(1);
  return got < 0 ? op_fail(call, errno, "take over what the monitor opened") : 0;
}

/* --- the monitor's part ------------------------------------------------------------------------------------------------------ */

/* hold-file <path>: to be written to. */
static int op_hold_file(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "hold-file");
  int fd = open_path(call->args[0].data, O_WRONLY);
  return fd < 0 ? op_fail(call, errno, "open %s", call->args[0].data) : hold_file(launch, call, fd, "");
}

/* hold-namespace <path> */
static int op_hold_namespace(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "hold-namespace");
  int fd = open_path(call->args[0].data, O_RDONLY);
  return fd < 0 ? op_fail(call, errno, "open namespace %s", call->args[0].data) : hold_file(launch, call, fd, "");
}

/* hold-users <path>: a user namespace, to whose users later trees are mapped, and which the child enters. */
static int op_hold_users(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "hold-users");
  launch->user_namespace = open_path(call->args[0].data, O_RDONLY);
  int fd = launch->user_namespace < 0 ? -1 : fcntl(launch->user_namespace, F_DUPFD_CLOEXEC, 0);
  return fd < 0 ? op_fail(call, errno, "open user namespace %s", call->args[0].data) : hold_file(launch, call, fd, "");
}

/* hold-sysctls: the kernel's settings, for `sysctls`. */
static int op_hold_sysctls(struct launch *launch, struct op_call *call) {
  int fd = open_path("/proc/sys", O_PATH | O_DIRECTORY);
  return fd < 0 ? op_fail(call, errno, "open /proc/sys") : hold_file(launch, call, fd, "");
}

/* oom-score <value>: the child's, as far as the machine's limits for the launcher itself let it. */
static int op_oom_score(struct launch *launch, struct op_call *call) {
  char path[40];
  snprintf(path, sizeof path, "/proc/%d/oom_score_adj", launch->pid);
  bool wrote = write_file(path, call->args[0].data, call->args[0].size) == 0;
  /* A child that is gone already says why in its report. */
  return wrote || errno == EACCES || errno == EPERM || errno == ENOENT || errno == ESRCH
             ? 0
             : op_fail(call, errno, "write to %s", path);
}

/* hold-mount: arguments as rootfs has them, and where it will be, for errors. */
static int op_hold_mount(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[5])) return op_fail(call, EINVAL, "hold-mount");
  int tree = root_tree(launch, call);
  if (tree < 0 && !field_is(call->args[5], "/")) op_fail(call, -tree, "mount %.60s at %.300s", call->args[1].data, call->args[5].data);
  return tree < 0 ? tree : hold_file(launch, call, tree, "");
}

/* --- the child's ------------------------------------------------------------------------------------------------------------- */

/* write-held <bytes>: to the next file. */
static int op_write_held(struct launch *launch, struct op_call *call) {
  int fd = take_held(launch, call);
  if (fd < 0) return fd;
  ssize_t wrote = write(fd, call->args[0].data, call->args[0].size);
  int error = errno;
  close(fd);
  if (wrote == (ssize_t)call->args[0].size) return 0;
  return op_fail(call, wrote < 0 ? error : EIO, "join a cgroup");
}

/* enter-held <namespace>: the next one. */
static int op_enter_held(struct launch *launch, struct op_call *call) {
  uint64_t flag = namespace_flags(call->args[0]);
  if (flag == 0) return op_fail(call, EINVAL, "enter-held");
  int fd = take_held(launch, call);
  if (fd < 0) return fd;
  int result = setns(fd, (int)flag);
  int error = errno;
  close(fd);
  return result != 0 ? op_fail(call, error, "enter %.20s namespace", call->args[0].data) : 0;
}

/* sysctls (<path below /proc/sys> <value>)…: of the namespaces that it is in. */
static int op_sysctls(struct launch *launch, struct op_call *call) {
  int settings = take_held(launch, call), result = settings < 0 ? settings : 0;
  for (int i = 0; i < call->count && result == 0; i += 2) {
    if (i + 1 == call->count || !is_text(call->args[i]) || !is_text(call->args[i + 1])) {
      result = op_fail(call, EINVAL, "sysctls");
      break;
    }
    const char *path = call->args[i].data, *value = call->args[i + 1].data;
    int fd = openat(settings, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, call->args[i + 1].size) != (ssize_t)call->args[i + 1].size)
      result = op_fail(call, errno, "write %.60s to /proc/sys/%.300s", value, path);
    if (fd >= 0) close(fd);
  }
  if (settings >= 0) close(settings);
  return result;
}

/* users-held: the user namespace, for enter-users. */
static int op_users_held(struct launch *launch, struct op_call *call) {
  int fd = take_held(launch, call);
  if (fd < 0) return fd;
  launch->user_namespace = fd;
  return 0;
}

/* make-for <user and group>: owns what is made in the root from here on. */
static int op_make_for(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t owner;
  if (!field_number(call->args[0], UINT32_MAX - 1, &owner)) return op_fail(call, EINVAL, "make-for");
  make_in_root_for((uid_t)owner, (gid_t)owner);
  return 0;
}

/* staging: what is mounted until there is a root goes to a place of its own, from which it is carried there. */
static int op_staging(struct launch *launch, struct op_call *call) {
  launch->root = launch->is_apart ? open_path("/stage", O_PATH | O_DIRECTORY) : -1;
  launch->staging = true;
  return launch->root < 0 ? op_fail(call, launch->is_apart ? errno : EINVAL, "staging") : 0;
}

/* root: the next tree becomes it. */
static int op_root(struct launch *launch, struct op_call *call) {
  if (!launch->is_apart) return op_fail(call, EINVAL, "root");
  int tree = take_held(launch, call);
  if (tree < 0) return tree;
  int on = open_path("/root", O_PATH | O_DIRECTORY);
  int result = on < 0 || sys_move_mount(tree, on) != 0 ? op_fail(call, errno, "place the root") : 0;
  if (on >= 0) close(on);
  if (launch->root >= 0) close(launch->root);
  launch->root = tree;
  launch->staging = false;
  forget_folder();
  return result;
}

/* carry <path>: what was staged there, with all that is mounted below it, to the same path of the root. */
static int op_carry(struct launch *launch, struct op_call *call) {
  if (launch->root < 0 || !is_text(call->args[0])) return op_fail(call, EINVAL, "carry");
  const char *path = call->args[0].data;
  char staged[64];
  if (snprintf(staged, sizeof staged, "/stage%s", path) >= (int)sizeof staged) return op_fail(call, EINVAL, "carry");
  int from = open_path(staged, O_PATH | O_DIRECTORY);
  if (from < 0) return op_fail(call, errno, "open %s", staged);
  /* Masks are named by paths below /proc and /sys: no link of an image may make them another place (CVE-2019-19921). */
  int to = open_mount_point(launch->root, path, true, strcmp(path, "/dev") != 0);
  if (to < 0) return op_fail(call, errno, "make mount point %s", path);
  int result = sys_move_mount(from, to) != 0 ? op_fail(call, errno, "carry %s", path) : 0;
  close(from);
  close(to);
  return result;
}

const struct launch_op apart_launch_ops[] = {
    {"hand-over", 0, 0, false, true, op_hand_over},
    {"hold-file", 1, 1, true, false, op_hold_file},
    {"hold-namespace", 1, 1, true, false, op_hold_namespace},
    {"hold-users", 1, 1, true, false, op_hold_users},
    {"hold-sysctls", 0, 0, true, false, op_hold_sysctls},
    {"oom-score", 1, 1, true, false, op_oom_score},
    {"sysctls", 2, FIELDS_MAX, false, true, op_sysctls},
    {"hold-mount", 6, 6, true, false, op_hold_mount},
    {"write-held", 1, 1, false, true, op_write_held},
    {"enter-held", 1, 1, false, true, op_enter_held},
    {"users-held", 0, 0, false, true, op_users_held},
    {"make-for", 1, 1, false, true, op_make_for},
    {"staging", 0, 0, false, true, op_staging},
    {"root", 0, 0, false, true, op_root},
    {"carry", 1, 1, false, true, op_carry},
};
const int apart_launch_op_count = sizeof apart_launch_ops / sizeof apart_launch_ops[0];
