/* Launch ops about what a container sees as its files. All paths inside are resolved below its root by the kernel (openat2), so
   that no link of an image leads out of it; mounts go onto what was opened, never onto a path. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
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

static bool need_root(struct launch *launch) { return launch->root >= 0; }

#define LINKS_MAX 40

/* Where a link that leads to nothing yet points: path gets its target for the name that starts at `name`, and what follows it. */
static int follow(char *path, size_t capacity, int parent, const char *name, const char *rest) {
  char target[2048], next[4096];
  char own[256];
  size_t name_size = strcspn(name, "/");
  if (name_size >= sizeof own) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(own, name, name_size);
  own[name_size] = 0;
  ssize_t size = readlinkat(parent, own, target, sizeof target - 1);
  if (size < 0) {
    if (errno == EINVAL) errno = EEXIST;
    return -1;
  }
  target[size] = 0;
  int wrote = target[0] == '/' ? snprintf(next, sizeof next, "%s%s", target, rest)
                               : snprintf(next, sizeof next, "%.*s%s%s", (int)(name - path), path, target, rest);
  if (wrote < 0 || (size_t)wrote >= sizeof next || (size_t)wrote >= capacity) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(path, next, (size_t)wrote + 1);
  return 0;
}

static uid_t make_owner;
static gid_t make_group;

void make_in_root_for(uid_t owner, gid_t group) {
  make_owner = owner;
  make_group = group;
}

/* Makes what is absent of path. 0: it is there now; 1: path was changed, as a link leads elsewhere; -1. */
static int make_names(int root, char *path, size_t capacity, bool directory, mode_t mode) {
  int parent = open_in_root(root, "/", O_PATH | O_DIRECTORY, 0);
  char *name = path;
  while (parent >= 0) {
    while (*name == '/') name++;
    if (*name == 0) break;
    char *end = name + strcspn(name, "/");
    bool last = end[strspn(end, "/")] == 0;
    char saved = *end;
    *end = 0;
    int next = open_in_root(root, path, O_PATH, 0);
    if (next < 0 && errno == ENOENT) {
      int made;
      if (last && !directory) {
        made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
        if (made >= 0) close(made);
      } else {
        made = mkdirat(parent, name, mode);
      }
      if (made >= 0) {
        next = open_in_root(root, path, O_PATH, 0);
        if (next >= 0 && (make_owner != 0 || make_group != 0) && fchownat(next, "", make_owner, make_group, AT_EMPTY_PATH) != 0)
          made = -1;
      } else if (errno == EEXIST) {
        *end = saved;
        int followed = follow(path, capacity, parent, name, end);
        int error = errno;
        close(parent);
        errno = error;
        return followed < 0 ? -1 : 1;
      }
    }
    int error = errno;
    *end = saved;
    close(parent);
    errno = error;
    parent = next;
    name = end;
  }
  if (parent < 0) return -1;
  close(parent);
  return 0;
}

/* The usual case: nothing but the last name is absent. -1 for any other. */
static int make_last(int root, char *path, bool directory, mode_t mode) {
  char *slash = strrchr(path, '/');
  if (slash == NULL || slash == path) return -1;
  *slash = 0;
  int parent = open_in_root(root, path, O_PATH | O_DIRECTORY, 0), fd = -1;
  *slash = '/';
  if (parent < 0) return -1;
  int made = directory ? mkdirat(parent, slash + 1, mode)
                       : openat(parent, slash + 1, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, mode);
  if (made >= 0) fd = openat(parent, slash + 1, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (made >= 0 && !directory) close(made);
  if (fd >= 0 && (make_owner != 0 || make_group != 0) && fchownat(fd, "", make_owner, make_group, AT_EMPTY_PATH) != 0) {
    close(fd);
    fd = -1;
  }
  close(parent);
  return fd;
}

int make_in_root(int root, const char *wanted, bool directory, mode_t mode) {
  char path[4096];
  size_t size = strlen(wanted);
  if (size == 0 || size >= sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(path, wanted, size + 1);
  for (int links = 0; links < LINKS_MAX; links++) {
    int fd = open_in_root(root, path, O_PATH, 0);
    if (fd >= 0 || errno != ENOENT) return fd;
    fd = make_last(root, path, directory, mode);
    if (fd >= 0) return fd;
    int made = make_names(root, path, sizeof path, directory, mode);
    if (made < 0) return -1;
    if (made == 0) return open_in_root(root, path, O_PATH, 0);
  }
  errno = ELOOP;
  return -1;
}

/* The mount namespace's root becomes this process's. It is another one when the agent runs in a chroot, and a container's root has
   to take the namespace's place: else entering the namespace (exec) would lead outside, and so would enough of "..". */
int enter_namespace_root(void) {
  int self = sys_pidfd_open(getpid());
  if (self < 0) return -1;
  int result = setns(self, CLONE_NEWNS);
  close(self);
  return result;
}

/* private-mounts: nothing done here is seen outside, nor the other way round, be it above a chroot or below it. */
static int op_private_mounts(struct launch *launch, struct op_call *call) {
  (void)launch;
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0 || enter_namespace_root() != 0 || sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || fchdir(root) != 0 ||
      chroot(".") != 0)
    return op_fail(call, errno, "make mounts private");
  close(root);
  return 0;
}

/* fsconfig takes values of up to 255 bytes, so a longer list of lower directories goes one by one. */
static int add_option(int fs, char *option) {
  char *value = strchr(option, '=');
  if (value == NULL) return sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL);
  *value++ = 0;
  if (strcmp(option, "lowerdir") != 0 || strlen(value) <= 255) return sys_fsconfig(fs, FSCONFIG_SET_STRING, option, value);
  for (char *layer; (layer = strsep(&value, ":")) != NULL;)
    if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", layer) != 0) return -1;
  return 0;
}

/* An overlay that is attached nowhere; -1 also for what this kernel's fsconfig cannot say, but mount can. */
static int overlay_tree(struct field data, uint64_t set) {
  char *text = strdup(data.data), *rest = text;
  int fs = text == NULL || strchr(text, '\\') != NULL ? -1 : sys_fsopen("overlay", FSOPEN_CLOEXEC);
  int result = fs < 0 ? -1 : sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay");
  for (char *option; result == 0 && (option = strsep(&rest, ",")) != NULL;)
    if (*option != 0) result = add_option(fs, option);
  if (result == 0) result = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
  int tree = result == 0 ? sys_fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)set) : -1;
  if (fs >= 0) close(fs);
  free(text);
  return tree;
}

/* On what was opened, or on the current directory when that is it already. */
static int mount_on(struct op_call *call, const char *path, const char *type, const char *source, const struct mount_words *words,
                    const char *data) {
  uint64_t set = words->set;
  unsigned long flags = words->super;
  if (set & MOUNT_ATTR_RDONLY) flags |= MS_RDONLY;
  if (set & MOUNT_ATTR_NOSUID) flags |= MS_NOSUID;
  if (set & MOUNT_ATTR_NODEV) flags |= MS_NODEV;
  if (set & MOUNT_ATTR_NOEXEC) flags |= MS_NOEXEC;
  if (set & MOUNT_ATTR_NOATIME) flags |= MS_NOATIME;
  if (set & MOUNT_ATTR_STRICTATIME) flags |= MS_STRICTATIME;
  if (set & MOUNT_ATTR_NODIRATIME) flags |= MS_NODIRATIME;
  if (set & MOUNT_ATTR_NOSYMFOLLOW) flags |= MOUNT_NOSYMFOLLOW;
  if (sys_mount(source, path, type, flags, data) != 0) return op_fail(call, errno, "mount %s", type);
  return 0;
}

/* By its being the current directory: a path below /proc/self/fd costs more. */
static int mount_on_directory(struct op_call *call, int to, const char *type, const char *source, const struct mount_words *words,
                              const char *data) {
  int result = fchdir(to) != 0 ? op_fail(call, errno, "mount %s", type) : mount_on(call, ".", type, source, words, data);
  return chdir("/") != 0 && result == 0 ? op_fail(call, errno, "mount %s", type) : result;
}

static int bind_rootfs(struct launch *launch, struct op_call *call, int on, const char *source, const struct mount_words *words) {
  int tree = tree_at(launch, call, source, words);
  if (tree < 0) return tree;
  int result = sys_move_mount(tree, on) != 0 ? op_fail(call, errno, "bind %s", source) : 0;
  close(tree);
  return result;
}

/* Puts a layer, with its users mapped, into the current directory, under a number. */
static int map_layer(struct launch *launch, struct op_call *call, const char *layer, int number) {
  char name[16];
  snprintf(name, sizeof name, "%d", number);
  struct mount_words plain = {.propagation = MS_PRIVATE, .idmap = true, .users = -1};
  int tree = tree_at(launch, call, layer, &plain);
  if (tree < 0) return tree;
  int on = mkdir(name, 0700) == 0 ? open(name, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
  int result = on < 0 || sys_move_mount(tree, on) != 0 ? op_fail(call, errno, "map layer %s", layer) : 0;
  if (on >= 0) close(on);
  close(tree);
  return result;
}

/* An overlay has no users of its own: each of its layers is mounted with its users mapped, in a file system that it then covers. */
static int mount_mapped_overlay(struct launch *launch, struct op_call *call, const char *target, const struct mount_words *words) {
  int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (here < 0 || sys_mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=700") != 0 || chdir(target) != 0)
    return op_fail(call, errno, "prepare layers at %s", target);
  char *data = malloc(call->args[4].size * 2 + 64), *options = strdup(call->args[4].data);
  int result = data == NULL || options == NULL ? op_fail(call, ENOMEM, "map layers") : 0;
  size_t size = 0;
  int number = 0;
  char *rest = options;
  for (char *option; result == 0 && (option = strsep(&rest, ",")) != NULL;) {
    if (size > 0) data[size++] = ',';
    bool lower = strncmp(option, "lowerdir=", 9) == 0;
    size += (size_t)sprintf(data + size, "%s", lower ? "lowerdir=" : option);
    char *layers = lower ? option + 9 : NULL;
    for (char *layer; result == 0 && layers != NULL && (layer = strsep(&layers, ":")) != NULL; number++) {
      result = map_layer(launch, call, layer, number);
      size += (size_t)sprintf(data + size, number > 0 ? ":%d" : "%d", number);
    }
  }
  if (result == 0) result = mount_on(call, target, "overlay", "overlay", words, data);
  if (fchdir(here) != 0 && result == 0) result = op_fail(call, errno, "leave %s", target);
  close(here);
  free(data);
  free(options);
  return result;
}

/* rootfs <target on the host> <type> <source> <attributes> <data> */
static int op_rootfs(struct launch *launch, struct op_call *call) {
  for (int i = 0; i < 5; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "rootfs");
  const char *target = call->args[0].data, *type = call->args[1].data, *source = call->args[2].data;
  struct mount_words words;
  if (!mount_words(call->args[3], &words)) return op_fail(call, EINVAL, "rootfs: attributes");
  int on = open(target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (on < 0) return op_fail(call, errno, "open %s", target);
  int result;
  if (strcmp(type, "bind") == 0) {
    result = bind_rootfs(launch, call, on, source, &words);
  } else if (strcmp(type, "overlay") == 0 && words.idmap) {
    result = mount_mapped_overlay(launch, call, target, &words);
  } else if (strcmp(type, "overlay") == 0 && call->args[4].size > 4000) {
    /* Long lists of lower directories do not fit into mount(2)'s page. */
    int tree = overlay_tree(call->args[4], words.set);
    result = tree < 0 || sys_move_mount(tree, on) != 0 ? op_fail(call, errno, "mount overlay") : 0;
    if (tree >= 0) close(tree);
  } else {
    result = mount_on_directory(call, on, type, source, &words, call->args[4].data);
  }
  close(on);
  if (result < 0) return result;
  launch->root = open(target, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  forget_folder();
  return launch->root < 0 ? op_fail(call, errno, "open %s", target) : 0;
}

static int share_mount(struct launch *launch, struct op_call *call, const char *destination, uint64_t propagation) {
  int on = open_in_root(launch->root, destination, O_PATH, 0);
  int result = on < 0 || sys_mount_setattr(on, 0, 0, 0, propagation) != 0 ? op_fail(call, errno, "share mount %s", destination) : 0;
  if (on >= 0) close(on);
  return result;
}

/* In a copy of the host's mounts that nobody else sees; for what cannot be mounted without a place. */
static int root_in_scratch(struct launch *launch, struct op_call *call) {
  if (launch->apart.home < 0 || unshare(CLONE_NEWNS) != 0) return op_fail(call, launch->apart.home < 0 ? EINVAL : errno, "copy mounts");
  int result = op_private_mounts(launch, call);
  if (result == 0) result = op_rootfs(launch, call);
  int tree = result == 0 ? sys_open_tree(launch->root, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE) : -1;
  if (result == 0 && tree < 0) result = op_fail(call, errno, "take the root");
  if (launch->root >= 0) close(launch->root);
  launch->root = -1;
  if (leave_apart(&launch->apart) != 0) _exit(1);
  return result < 0 ? result : tree;
}

int root_tree(struct launch *launch, struct op_call *call) {
  for (int i = 0; i < 5; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "rootfs");
  struct mount_words words;
  if (!mount_words(call->args[3], &words)) return op_fail(call, EINVAL, "rootfs: attributes");
  if (field_is(call->args[1], "bind")) return tree_at(launch, call, call->args[2].data, &words);
  int tree = field_is(call->args[1], "overlay") && !words.idmap && words.super == 0 ? overlay_tree(call->args[4], words.set) : -1;
  if (tree < 0) tree = root_in_scratch(launch, call);
  if (tree < 0 || words.propagation == MS_PRIVATE || sys_mount_setattr(tree, 0, 0, 0, words.propagation) == 0) return tree;
  return op_fail(call, errno, "share mount");
}

/* mount <type> <source> <destination> <attributes> <data> */
int mount_file_system(struct launch *launch, struct op_call *call) {
  for (int i = 0; i < 5; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "mount");
  const char *type = call->args[0].data, *destination = call->args[2].data;
  struct mount_words words;
  if (!need_root(launch) || !mount_words(call->args[3], &words)) return op_fail(call, EINVAL, "mount: attributes");
  /* Masks are named by paths below /proc and /sys: no link of an image may make them another place (CVE-2019-19921). */
  bool kernel = strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
  int to = open_mount_point(launch->root, destination, true, kernel);
  if (to < 0) return op_fail(call, errno, "make mount point %s", destination);
  int result = mount_on_directory(call, to, type, call->args[1].data, &words, call->args[4].data);
  if (result < 0) op_fail(call, -result, "mount %.60s at %.300s", type, destination);
  close(to);
  forget_folder();
  return result < 0 || words.propagation == MS_PRIVATE ? result : share_mount(launch, call, destination, words.propagation);
}

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
  if (!need_root(launch) || !is_text(call->args[0]) || !field_number(call->args[2], 1 << 20, &major_number) ||
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
  if (!need_root(launch) || !is_text(call->args[0]) || !is_text(call->args[1])) return op_fail(call, EINVAL, "symlink");
  const char *path = call->args[1].data, *name;
  int parent = open_folder(launch, path, &name);
  if (parent < 0) return op_fail(call, errno, "make link %s", path);
  return symlinkat(call->args[0].data, parent, name) != 0 && errno != EEXIST ? op_fail(call, errno, "make link %s", path) : 0;
}

/* directory <destination>: such as the working directory. */
static int op_directory(struct launch *launch, struct op_call *call) {
  if (!need_root(launch) || !is_text(call->args[0])) return op_fail(call, EINVAL, "directory");
  int fd = make_in_root(launch->root, call->args[0].data, true, 0755);
  /* A read-only root without it: the op that needs it says so. */
  if (fd >= 0) close(fd);
  return fd < 0 && errno != EROFS && errno != ENOTDIR ? op_fail(call, errno, "make directory %s", call->args[0].data) : 0;
}

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
  if (!need_root(launch) || !is_text(call->args[0])) return op_fail(call, EINVAL, "mask");
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
  if (!need_root(launch) || !is_text(call->args[0])) return op_fail(call, EINVAL, "readonly");
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

/* readonly-mount <mount point>: that mount alone. */
static int op_readonly_mount(struct launch *launch, struct op_call *call) {
  if (!need_root(launch) || !is_text(call->args[0])) return op_fail(call, EINVAL, "readonly-mount");
  int on = open_in_root(launch->root, call->args[0].data, O_PATH, 0);
  if (on < 0 || sys_mount_setattr(on, 0, MOUNT_ATTR_RDONLY, 0, 0) != 0)
    return op_fail(call, errno, "make %s read-only", call->args[0].data);
  close(on);
  return 0;
}

static int replace_root(int root) {
  return enter_namespace_root() != 0 || fchdir(root) != 0 || sys_pivot_root(".", ".") != 0 || sys_umount(".", UNMOUNT_DETACH) != 0 ? -1 : 0;
}

/* As an initial RAM disk's is covered: what lies below has nothing of the host's, no ".." and no entering of the namespace leads there.
   pivot_root would look at every process of the machine, and unmounting wait for each of its processors. */
static int cover_root(int root) {
  int below = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (below < 0) return -1;
  int result = sys_move_mount(root, below) != 0 || fchdir(root) != 0 || chroot(".") != 0 ? -1 : 0;
  int error = errno;
  close(below);
  errno = error;
  return result;
}

/* pivot: the root becomes "/", and nothing of the host's files is left. */
static int op_pivot(struct launch *launch, struct op_call *call) {
  if (!need_root(launch)) return op_fail(call, EINVAL, "pivot");
  forget_folder();
  if ((launch->is_apart ? cover_root(launch->root) : replace_root(launch->root)) != 0 || chdir("/") != 0)
    return op_fail(call, errno, "make the container's root the root");
  return 0;
}

/* terminal <console 0|1>: a pty of the container's own devpts; its master goes to the monitor, its slave becomes 0, 1 and 2. */
static int op_terminal(struct launch *launch, struct op_call *call) {
  if (!need_root(launch)) return op_fail(call, EINVAL, "terminal");
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

const struct launch_op mount_launch_ops[] = {
    {"private-mounts", 0, 0, false, true, op_private_mounts},
    {"rootfs", 5, 5, false, true, op_rootfs},
    {"mount", 5, 5, false, true, mount_file_system},
    {"device", 5, 7, false, true, op_device},
    {"symlink", 2, 2, false, true, op_symlink},
    {"directory", 1, 1, false, true, op_directory},
    {"terminal", 1, 1, false, true, op_terminal},
    {"mask", 1, 1, false, true, op_mask},
    {"readonly", 1, 1, false, true, op_readonly},
    {"readonly-mount", 1, 1, false, true, op_readonly_mount},
    {"pivot", 0, 0, false, true, op_pivot},
};
const int mount_launch_op_count = sizeof mount_launch_ops / sizeof mount_launch_ops[0];
