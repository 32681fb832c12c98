/* A launch op that shows a fresh file system with what an image has at its place, as podman asks for with "tmpcopyup". What is copied
   is a stranger's: every name is opened below its directory and through no link, and there is a limit to it all. */
#include "kernel.h"
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#define ENTRIES_MAX 100000
#define DEPTH_MAX 64

struct copying {
  uint64_t entries;
};

static int copy_data(int from, int to) {
  for (;;) {
    ssize_t sent = sendfile(to, from, NULL, 1 << 20);
    if (sent <= 0) return (int)sent;
  }
}

static int copy_owner(int to, const struct stat *info) {
  const struct timespec times[2] = {info->st_atim, info->st_mtim};
  return fchown(to, info->st_uid, info->st_gid) != 0 || fchmod(to, info->st_mode & 07777) != 0 || futimens(to, times) != 0 ? -1 : 0;
}

static int copy_file(int from, int to, const char *name, const struct stat *info) {
  int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  int target = source < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  int result = target < 0 || copy_data(source, target) != 0 || copy_owner(target, info) != 0 ? -1 : 0;
  int error = errno;
  if (source >= 0) close(source);
  if (target >= 0) close(target);
  errno = error;
  return result;
}

static int copy_link(int from, int to, const char *name, const struct stat *info) {
  char target[4096];
  ssize_t size = readlinkat(from, name, target, sizeof target - 1);
  if (size < 0) return -1;
  target[size] = 0;
  return symlinkat(target, to, name) != 0 || fchownat(to, name, info->st_uid, info->st_gid, AT_SYMLINK_NOFOLLOW) != 0 ? -1 : 0;
}

static int copy_directory(struct copying *copying, int from, int to, int depth);

static int copy_entry(struct copying *copying, int from, int to, const char *name, int depth) {
  struct stat info;
  if (++copying->entries > ENTRIES_MAX || depth > DEPTH_MAX) {
    errno = E2BIG;
    return -1;
  }
  if (fstatat(from, name, &info, AT_SYMLINK_NOFOLLOW) != 0) return -1;
  if (S_ISREG(info.st_mode)) return copy_file(from, to, name, &info);
  if (S_ISLNK(info.st_mode)) return copy_link(from, to, name, &info);
  /* Devices, sockets and pipes are of no use in a copy. */
  if (!S_ISDIR(info.st_mode)) return 0;
  if (mkdirat(to, name, 0700) != 0) return -1;
  int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int target = source < 0 ? -1 : openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  int result = target < 0 ? -1 : copy_directory(copying, source, target, depth + 1);
  if (result == 0) result = copy_owner(target, &info);
  int error = errno;
  if (source >= 0) close(source);
  if (target >= 0) close(target);
  errno = error;
  return result;
}

static int copy_directory(struct copying *copying, int from, int to, int depth) {
  int own = fcntl(from, F_DUPFD_CLOEXEC, 0);
  DIR *list = own < 0 ? NULL : fdopendir(own);
  if (list == NULL) return -1;
  int result = 0;
  for (struct dirent *entry; result == 0 && (entry = readdir(list)) != NULL;)
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) result = copy_entry(copying, from, to, entry->d_name, depth);
  int error = errno;
  closedir(list);
  errno = error;
  return result;
}

/* mount-copy <type> <source> <destination> <attributes> <data>: as mount, with a copy of what the mount covers in it. */
static int op_mount_copy(struct launch *launch, struct op_call *call) {
  for (int i = 0; i < 5; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "mount-copy");
  const char *path = call->args[2].data;
  int covered = open_in_root(launch->root, path, O_RDONLY | O_DIRECTORY, 0);
  struct stat info;
  if (covered >= 0 && fstat(covered, &info) != 0) return op_fail(call, errno, "look at %s", path);
  int result = mount_file_system(launch, call);
  if (result == 0 && covered >= 0) {
    struct copying copying = {0};
    int to = open_in_root(launch->root, path, O_RDONLY | O_DIRECTORY, 0);
    if (to < 0 || copy_directory(&copying, covered, to, 0) != 0) result = op_fail(call, errno, "copy %s into its mount", path);
    if (to >= 0) close(to);
  }
  if (covered >= 0) close(covered);
  return result;
}

const struct launch_op copy_launch_ops[] = {{"mount-copy", 5, 5, false, true, op_mount_copy}};
const int copy_launch_op_count = sizeof copy_launch_ops / sizeof copy_launch_ops[0];
