/* Makes what is absent of a path inside a container's root. The kernel resolves each step below that root, so no link of an image leads
   out of it. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

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
