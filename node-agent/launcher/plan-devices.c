/* Launch ops that make devices and links inside a container, and its terminal. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <termios.h>

#ifndef DEVPTS_SUPER_MAGIC
#define DEVPTS_SUPER_MAGIC 0x1cd1
#endif
#ifndef TIOCGPTPEER
#define TIOCGPTPEER _IO('T', 0x41)
#endif

static int folder = -1;
static char folder_path[256];

void forget_folder(void) {
  if (folder >= 0) close(folder);
  folder = -1;
}

/* The directory that a path lies in, made when absent; the name in it. Devices and links come many for one directory. */
static int open_folder(const struct launch *launch, const char *path, const char **name) {
  const char *slash = strrchr(path, '/');
  if (slash == NULL || slash[1] == 0 || (size_t)(slash - path) >= sizeof folder_path) {
    errno = EINVAL;
    return -1;
  }
  *name = slash + 1;
  size_t size = slash == path ? 1 : (size_t)(slash - path);
  if (folder >= 0 && strlen(folder_path) == size && memcmp(folder_path, path, size) == 0) return folder;
  forget_folder();
  memcpy(folder_path, path, size);
  folder_path[size] = 0;
  return folder = make_in_root(launch->root, folder_path, true, 0755);
}

/* device <destination> c|b|p <major> <minor> <mode> [<uid> <gid>] */
static int op_device(struct launch *launch, struct op_call *call) {
  uint64_t major_number, minor_number, mode, uid = 0, gid = 0;
  if (launch->root < 0 || !is_text(call->args[0]) || !field_number(call->args[2], 1 << 20, &major_number) ||
      !field_number(call->args[3], 1 << 20, &minor_number) || !field_number(call->args[4], 0777, &mode) || call->count == 6 ||
      (call->count == 7 && (!field_number(call->args[5], UINT32_MAX - 1, &uid) || !field_number(call->args[6], UINT32_MAX - 1, &gid))))
    return op_fail(call, EINVAL, "device");
  const char *path = call->args[0].data, *name;
  int parent = open_folder(launch, path, &name);
  if (parent < 0) return op_fail(call, errno, "make device %s", path);
  mode_t type = field_is(call->args[1], "b") ? S_IFBLK : field_is(call->args[1], "p") ? S_IFIFO : S_IFCHR;
  dev_t number = type == S_IFIFO ? 0 : makedev((unsigned)major_number, (unsigned)minor_number);
  mode_t mask = umask(0);
  int made = mknodat(parent, name, type | (mode_t)mode, number);
  int error = errno;
  umask(mask);
  /* What an image has there may be that device already, and nothing else. */
  struct stat info;
  if (made != 0 && error == EEXIST && fstatat(parent, name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
      (info.st_mode & S_IFMT) == type && info.st_rdev == number)
    made = 0;
  if (made == 0 && (uid != 0 || gid != 0) && fchownat(parent, name, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW) != 0) {
    made = -1;
    error = errno;
  }
  return made != 0 ? op_fail(call, error, "make device %s", path) : 0;
}

/* symlink <target> <destination>, whose directory exists */
static int op_symlink(struct launch *launch, struct op_call *call) {
  if (launch->root < 0 || !is_text(call->args[0]) || !is_text(call->args[1])) return op_fail(call, EINVAL, "symlink");
  const char *path = call->args[1].data, *name;
  int parent = open_folder(launch, path, &name);
  if (parent < 0) return op_fail(call, errno, "make link %s", path);
  return symlinkat(call->args[0].data, parent, name) != 0 && errno != EEXIST ? op_fail(call, errno, "make link %s", path) : 0;
}

/* terminal <console 0|1>: a pty of the container's own devpts; its master goes to the monitor, its slave becomes 0, 1 and 2. */
static int op_terminal(struct launch *launch, struct op_call *call) {
  if (launch->root < 0) return op_fail(call, EINVAL, "terminal");
  int master = open_in_root(launch->root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, 0);
  struct statfs info;
  if (master < 0) return op_fail(call, errno, "open /dev/pts/ptmx");
  if (fstatfs(master, &info) != 0 || info.f_type != DEVPTS_SUPER_MAGIC) return op_fail(call, ENODEV, "open /dev/pts/ptmx");
  int unlock = 0;
  if (ioctl(master, TIOCSPTLCK, &unlock) != 0) return op_fail(call, errno, "unlock terminal");
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return op_fail(call, errno, "open terminal");
  struct winsize size = {.ws_col = (unsigned short)launch->columns, .ws_row = (unsigned short)launch->rows};
  if (launch->columns > 0) ioctl(master, TIOCSWINSZ, &size);
  if (field_is(call->args[0], "1")) {
    /* Never through a link: what is mounted there would cover a file that was meant to be masked (CVE-2025-52565). */
    int dev = make_in_root(launch->root, "/dev", true, 0755);
    int made = dev < 0 ? -1 : openat(dev, "console", O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (made >= 0) close(made);
    int to = dev < 0 ? -1 : openat(dev, "console", O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat seen;
    if (to < 0 || fstat(to, &seen) != 0) return op_fail(call, errno, "make /dev/console");
    if (S_ISLNK(seen.st_mode)) return op_fail(call, ELOOP, "make /dev/console");
    close(dev);
    int tree = sys_open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH);
    if (tree < 0 || sys_move_mount(tree, to) != 0) return op_fail(call, errno, "mount /dev/console");
    close(tree);
    close(to);
  }
  if (send_with_file(launch->report, "terminal", master) != 0) return op_fail(call, errno, "hand over terminal");
  close(master);
  for (int i = 0; i < 3; i++) launch->child_stdio[i] = slave;
  return 0;
}

const struct launch_op device_launch_ops[] = {
    {"device", 5, 7, false, true, op_device},
    {"symlink", 2, 2, false, true, op_symlink},
    {"terminal", 1, 1, false, true, op_terminal},
};
const int device_launch_op_count = sizeof device_launch_ops / sizeof device_launch_ops[0];
