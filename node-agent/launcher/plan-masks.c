/* Launch ops that hide what lies inside a container's /proc and /sys, or make it read-only. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

/* An image may have put something else where /proc and /sys should be. */
static bool is_kernel_file(int fd, const char *path) {
  struct statfs info;
  if (fstatfs(fd, &info) != 0) return false;
  if (strncmp(path, "/proc/", 6) == 0) return info.f_type == PROC_SUPER_MAGIC;
  if (strncmp(path, "/sys/", 5) == 0) return info.f_type == SYSFS_MAGIC || info.f_type == CGROUP_SUPER_MAGIC || info.f_type == CGROUP2_SUPER_MAGIC || info.f_type == TMPFS_MAGIC;
  return true;
}

static int null_tree(const struct launch *launch) {
  int tree = sys_open_tree(AT_FDCWD, launch->is_apart ? "/null" : "/dev/null", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  struct stat info;
  if (tree >= 0 && (fstat(tree, &info) != 0 || !S_ISCHR(info.st_mode) || info.st_rdev != makedev(1, 3))) {
    close(tree);
    errno = ENODEV;
    return -1;
  }
  return tree;
}

static int empty_tree(void) {
  int fs = sys_fsopen("tmpfs", FSOPEN_CLOEXEC);
  if (fs < 0) return -1;
  int tree = -1;
  if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "2") == 0 && sys_fsconfig(fs, FSCONFIG_SET_STRING, "size", "4k") == 0 &&
      sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL) == 0)
    tree = sys_fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  int error = errno;
  close(fs);
  errno = error;
  return tree;
}

/* A mount to put over a path. The first one made is placed itself and then copied: before Linux 6.15 a mount cannot be copied
   until it has its place. */
static int masking_tree(struct launch *launch, bool directory) {
  int *placed = directory ? &launch->empty_tree : &launch->null_tree;
  if (*placed >= 0) return sys_open_tree(*placed, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
  return *placed = directory ? empty_tree() : null_tree(launch);
}

static bool is_masked(const struct launch *launch, const char *path, int tree) {
  struct stat wanted, seen;
  int check = open_in_root(launch->root, path, O_PATH, 0);
  bool masked = check >= 0 && fstat(check, &seen) == 0 && fstat(tree, &wanted) == 0 && seen.st_dev == wanted.st_dev && seen.st_ino == wanted.st_ino;
  if (check >= 0) close(check);
  return masked;
}

/* mask <path>: reading it gives nothing. Silent when absent. */
static int op_mask(struct launch *launch, struct op_call *call) {
  if (launch->root < 0 || !is_text(call->args[0])) return op_fail(call, EINVAL, "mask");
  const char *path = call->args[0].data;
  int to = open_in_root(launch->root, path, O_PATH, 0);
  if (to < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : op_fail(call, errno, "mask %s", path);
  struct stat info;
  if (fstat(to, &info) != 0 || !is_kernel_file(to, path)) return op_fail(call, EPERM, "mask %s", path);
  int tree = masking_tree(launch, S_ISDIR(info.st_mode));
  if (tree < 0 || sys_move_mount(tree, to) != 0) return op_fail(call, errno, "mask %s", path);
  /* Where nothing of anybody else's can be yet, nobody can have swapped it. */
  if (!launch->staging && !is_masked(launch, path, tree)) return op_fail(call, EPERM, "mask %s", path);
  if (tree != launch->empty_tree && tree != launch->null_tree) close(tree);
  close(to);
  return 0;
}

/* readonly <path>. Silent when absent. */
static int op_readonly(struct launch *launch, struct op_call *call) {
  if (launch->root < 0 || !is_text(call->args[0])) return op_fail(call, EINVAL, "readonly");
  const char *path = call->args[0].data;
  int to = open_in_root(launch->root, path, O_PATH, 0);
  if (to < 0) return errno == ENOENT || errno == ENOTDIR ? 0 : op_fail(call, errno, "make %s read-only", path);
  if (!is_kernel_file(to, path)) return op_fail(call, EPERM, "make %s read-only", path);
  int tree = sys_open_tree(to, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
  if (tree < 0 || sys_mount_setattr(tree, AT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0) != 0 || sys_move_mount(tree, to) != 0)
    return op_fail(call, errno, "make %s read-only", path);
  close(tree);
  close(to);
  return 0;
}

const struct launch_op mask_launch_ops[] = {
    {"mask", 1, 1, false, true, op_mask},
    {"readonly", 1, 1, false, true, op_readonly},
};
const int mask_launch_op_count = sizeof mask_launch_ops / sizeof mask_launch_ops[0];
