// Writes the entries of a layer below the root, whiteouts in overlayfs' form. Names are resolved by the kernel with
// RESOLVE_IN_ROOT, so neither ".." nor a symlink leads outside, even without the pivoted root around it.
#define _GNU_SOURCE
#include "unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

// Times of directories are set last: what is put into them would change them again.
struct directory_time {
  char *path;
  struct timespec mtime;
};

int root_fd = -1;
static struct placing placing;
static uint64_t entry_count;
static uint64_t entry_limit;
static struct directory_time *times;
static size_t time_count;
static size_t time_room;
// The directory of the entry before: tars list a directory's files one after another.
static int parent_fd = -1;
static char parent_path[path_bytes_max];

void tree_open(uint64_t entries_max) {
  entry_limit = entries_max;
  root_fd = openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root_fd < 0) fail_errno("open", "/");
}

void tree_enter(int fd) {
  root_fd = fd;
  entry_limit = UINT64_MAX;
}

uint64_t tree_entries(void) { return entry_count; }

void count_entry(void) {
  if (++entry_count > entry_limit) fail("bad", "has more than %llu entries", (unsigned long long)entry_limit);
}

int open_below(int root, const char *path, uint64_t flags) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
  return (int)syscall(SYS_openat2, root, *path == 0 ? "." : path, &how, sizeof how);
}

int open_inside(const char *path, uint64_t flags) { return open_below(root_fd, path, flags); }

void tree_place(const struct placing *given) { placing = *given; }

bool is_whiteout(const struct stat *status) { return S_ISCHR(status->st_mode) && status->st_rdev == makedev(0, 0); }

static void hide_lower(int directory, const char *name) {
  if (fsetxattr(directory, "trusted.overlay.opaque", "y", 1, 0) != 0) fail_errno("mark as opaque", name);
}

static int open_directory(int parent, const char *name, const char *path) {
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) fail_errno("open directory", path);
  return fd;
}

enum place clear_place(int parent, const char *name, const char *path, bool want_directory) {
  struct stat status;
  if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return place_free;
    fail_errno("look at", path);
  }
  if (S_ISDIR(status.st_mode) && want_directory) return place_directory;
  if (placing.keep_kinds && S_ISDIR(status.st_mode)) fail("bad", "would put a file in the place of a directory: %s", path);
  if (placing.keep_kinds && want_directory) fail("bad", "would put a directory in the place of a file: %s", path);
  if (!remove_tree(parent, name)) fail_errno("replace", path);
  return is_whiteout(&status) ? place_whiteout : place_free;
}

// A directory that takes the place of a whiteout hides what lower layers have there. Returns it open.
static int make_directory(int parent, const char *name, const char *path) {
  enum place was = place_free;
  if (mkdirat(parent, name, 0755) != 0) {
    if (errno != EEXIST) fail_errno("make directory", path);
    was = clear_place(parent, name, path, true);
    if (was != place_directory && mkdirat(parent, name, 0755) != 0) fail_errno("make directory", path);
  }
  int fd = open_directory(parent, name, path);
  if (was == place_whiteout) hide_lower(fd, path);
  return fd;
}

// Directories that a tar leaves out exist all the same, as root's with mode 0755.
static int make_parents(const char *path) {
  char prefix[path_bytes_max];
  int fd = dup(root_fd);
  if (fd < 0) fail_errno("open", "/");
  for (const char *end = path; *end != 0;) {
    const char *name = end == path ? path : end + 1;
    end = strchrnul(name, '/');
    memcpy(prefix, path, (size_t)(end - path));
    prefix[end - path] = 0;
    int next = open_inside(prefix, O_RDONLY | O_DIRECTORY);
    if (next < 0 && (errno == ENOENT || errno == ENOTDIR)) {
      const char *last = prefix + (name - path);
      struct stat status;
      if (fstatat(fd, last, &status, AT_SYMLINK_NOFOLLOW) == 0 && !is_whiteout(&status))
        fail("bad", "has files below %s, which is not a directory", prefix);
      count_entry();
      next = make_directory(fd, last, prefix);
    }
    if (next < 0) fail_errno("open directory", prefix);
    close(fd);
    fd = next;
  }
  return fd;
}

int open_parent(const char *path) {
  if (parent_fd >= 0 && strcmp(path, parent_path) == 0) return parent_fd;
  if (parent_fd >= 0) close(parent_fd);
  parent_fd = open_inside(path, O_RDONLY | O_DIRECTORY);
  if (parent_fd < 0) {
    if (errno != ENOENT && errno != ENOTDIR) fail_errno("open directory", path);
    parent_fd = make_parents(path);
  }
  strcpy(parent_path, path);
  return parent_fd;
}

// Splits into the path of the directory and the name in it.
const char *split(const char *path, char *directory) {
  const char *slash = strrchr(path, '/');
  size_t length = slash == NULL ? 0 : (size_t)(slash - path);
  memcpy(directory, path, length);
  directory[length] = 0;
  return slash == NULL ? path : slash + 1;
}

bool wanted_xattr(const char *name) {
  // Never trusted.*: overlayfs takes orders from it. SELinux labels are the host's to give.
  if (strcmp(name, "security.capability") == 0) return true;
  if (strncmp(name, "system.posix_acl_", 17) == 0) return true;
  return strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0;
}

static void set_xattrs(int fd, const struct entry *entry) {
  for (size_t i = 0; i < entry->xattr_count; i++) {
    const struct xattr *x = &entry->xattrs[i];
    if (!wanted_xattr(x->name)) continue;
    // A file system without this kind of attribute is no fault of the image.
    if (fsetxattr(fd, x->name, x->value, x->size, 0) != 0 && errno != ENOTSUP) fail_errno("set attributes of", entry->path);
  }
}

// Owner first: changing it clears setuid and file capabilities.
void set_attributes(int fd, const struct entry *entry) {
  if (fchown(fd, entry->uid, entry->gid) != 0) fail_errno("set owner of", entry->path);
  set_xattrs(fd, entry);
  if (fchmod(fd, entry->mode) != 0) fail_errno("set mode of", entry->path);
}

static void remember_time(const struct entry *entry) {
  if (time_count == time_room) {
    time_room = time_room == 0 ? 256 : time_room * 2;
    times = realloc(times, time_room * sizeof *times);
    if (times == NULL) fail("bad", "has too many directories to remember");
  }
  char *path = strdup(entry->path);
  if (path == NULL) fail("bad", "has too many directories to remember");
  times[time_count++] = (struct directory_time){path, entry->mtime};
}

static void add_directory(int parent, const char *name, const struct entry *entry) {
  // Also one that a symlink leads to.
  int there = placing.keep_kinds ? open_inside(entry->path, O_RDONLY | O_DIRECTORY) : -1;
  if (there >= 0) {
    close(there);
    return;
  }
  int fd = *entry->path == 0 ? dup(root_fd) : make_directory(parent, name, entry->path);
  if (fd < 0) fail_errno("open directory", entry->path);
  set_attributes(fd, entry);
  close(fd);
  remember_time(entry);
}

static int add_file(int parent, const char *name, const char *path) {
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int fd = openat(parent, name, flags, 0600);
  if (fd < 0 && errno == EEXIST) {
    clear_place(parent, name, path, false);
    fd = openat(parent, name, flags, 0600);
  }
  if (fd < 0) fail_errno("make file", path);
  return fd;
}

void tree_finish_file(int fd, const struct entry *entry) {
  set_attributes(fd, entry);
  const struct timespec both[2] = {entry->mtime, entry->mtime};
  if (futimens(fd, both) != 0) fail_errno("set time of", entry->path);
  close(fd);
}

static void finish_unopened(int parent, const char *name, const struct entry *entry) {
  if (fchownat(parent, name, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) != 0) fail_errno("set owner of", entry->path);
  if (entry->type != '2' && fchmodat(parent, name, entry->mode, 0) != 0) fail_errno("set mode of", entry->path);
  const struct timespec both[2] = {entry->mtime, entry->mtime};
  if (utimensat(parent, name, both, AT_SYMLINK_NOFOLLOW) != 0) fail_errno("set time of", entry->path);
}

static int make_node(int parent, const char *name, const struct entry *entry) {
  if (entry->type == '2') return symlinkat(entry->link, parent, name);
  mode_t kind = entry->type == '3' ? S_IFCHR : entry->type == '4' ? S_IFBLK : S_IFIFO;
  dev_t device = entry->type == '6' ? 0 : makedev(entry->device_major, entry->device_minor);
  return mknodat(parent, name, kind | 0600, device);
}

static void add_node(int parent, const char *name, const struct entry *entry) {
  if (make_node(parent, name, entry) != 0) {
    if (errno != EEXIST) fail_errno("make", entry->path);
    clear_place(parent, name, entry->path, false);
    if (make_node(parent, name, entry) != 0) fail_errno("make", entry->path);
  }
  finish_unopened(parent, name, entry);
}

static void add_hard_link(int parent, const char *name, const struct entry *entry) {
  if (strcmp(entry->link, entry->path) == 0) return;
  char directory[path_bytes_max];
  const char *target = split(entry->link, directory);
  int from = open_inside(directory, O_RDONLY | O_DIRECTORY);
  if (from < 0 || *target == 0) fail("bad", "has a hard link %s to %s, which the layer does not hold", entry->path, entry->link);
  int failed = linkat(from, target, parent, name, 0);
  if (failed != 0 && errno == EEXIST) {
    clear_place(parent, name, entry->path, false);
    failed = linkat(from, target, parent, name, 0);
  }
  if (failed != 0 && errno == ENOENT)
    fail("bad", "has a hard link %s to %s, which the layer does not hold", entry->path, entry->link);
  if (failed != 0) fail_errno("make hard link", entry->path);
  close(from);
}

// "name" is gone from the layers below. What this same layer puts there stays: whiteouts speak of lower layers only.
static void add_whiteout(int parent, const char *name, const struct entry *entry) {
  if (*name == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) fail("bad", "has a whiteout of nothing: %s", entry->path);
  if (mknodat(parent, name, S_IFCHR | 0600, makedev(0, 0)) == 0) return;
  struct stat status;
  if (errno != EEXIST || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0) fail_errno("make whiteout", entry->path);
  if (!S_ISDIR(status.st_mode)) return;
  int fd = open_directory(parent, name, entry->path);
  hide_lower(fd, entry->path);
  close(fd);
}

static int add_entry(int parent, const char *name, const struct entry *entry) {
  switch (entry->type) {
    case '0': return add_file(parent, name, entry->path);
    case '1': add_hard_link(parent, name, entry); return -1;
    case '5': add_directory(parent, name, entry); return -1;
    default: add_node(parent, name, entry); return -1;
  }
}

int tree_add(struct entry *entry) {
  count_entry();
  if (placing.has_owner) {
    entry->uid = placing.uid;
    entry->gid = placing.gid;
  }
  if (*entry->path == 0) {
    if (entry->type == '5') add_directory(-1, "", entry);
    return -1;
  }
  char directory[path_bytes_max];
  if (placing.plain) {
    const char *plain_name = split(entry->path, directory);
    return add_entry(open_parent(directory), plain_name, entry);
  }
  // aufs' own files, in layers of old Dockers.
  const char *special = strstr(entry->path, ".wh..wh.");
  if (special != NULL && (special == entry->path || special[-1] == '/') && strcmp(special, ".wh..wh..opq") != 0) return -1;
  const char *name = split(entry->path, directory);
  if (strncmp(directory, ".wh.", 4) == 0 || strstr(directory, "/.wh.") != NULL)
    fail("bad", "has files below a whiteout: %s", entry->path);
  int parent = open_parent(directory);
  if (strcmp(name, ".wh..wh..opq") == 0) {
    hide_lower(parent, directory);
    return -1;
  }
  if (strncmp(name, ".wh.", 4) == 0) {
    add_whiteout(parent, name + 4, entry);
    return -1;
  }
  return add_entry(parent, name, entry);
}

void tree_finish(void) {
  for (size_t i = time_count; i-- > 0;) {
    int fd = open_inside(times[i].path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0) continue;  // replaced by a later entry
    const struct timespec both[2] = {times[i].mtime, times[i].mtime};
    if (futimens(fd, both) != 0) fail_errno("set time of", times[i].path);
    close(fd);
  }
}

struct dirent64_head {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

enum scan { scan_clean, scan_changed, scan_full_child, scan_failed };

// One look through a directory that removes all it can; stops at a subdirectory that has something in it.
static enum scan empty_directory(int fd, char *child) {
  static _Alignas(8) char buffer[32768];
  enum scan result = scan_clean;
  if (lseek(fd, 0, SEEK_SET) != 0) return scan_failed;
  for (;;) {
    long got = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    if (got < 0) return scan_failed;
    if (got == 0) return result;
    for (long at = 0; at < got;) {
      const struct dirent64_head *found = (const struct dirent64_head *)(buffer + at);
      at += found->length;
      if (strcmp(found->name, ".") == 0 || strcmp(found->name, "..") == 0) continue;
      result = scan_changed;
      if (unlinkat(fd, found->name, found->type == DT_DIR ? AT_REMOVEDIR : 0) == 0) continue;
      if (errno == EISDIR && unlinkat(fd, found->name, AT_REMOVEDIR) == 0) continue;
      if (errno != ENOTEMPTY && errno != EEXIST) return scan_failed;
      strcpy(child, found->name);
      return scan_full_child;
    }
  }
}

static bool close_failed(int fd) {
  int reason = errno;
  close(fd);
  errno = reason;
  return false;
}

// Goes down and up with one descriptor, so that no depth is too deep.
bool empty_tree(int fd) {
  for (uint64_t depth = 0;;) {
    char child[256];
    int next = fd;
    switch (empty_directory(fd, child)) {
      case scan_failed: return close_failed(fd);
      case scan_changed: continue;
      case scan_full_child:
        next = openat(fd, child, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        depth++;
        break;
      case scan_clean:
        if (depth == 0) {
          close(fd);
          return true;
        }
        next = openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        depth--;
        break;
    }
    if (next < 0) return close_failed(fd);
    close(fd);
    fd = next;
  }
}

bool remove_tree(int parent, const char *name) {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return true;
  if (errno != EISDIR && errno != EPERM) return false;
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0) return true;
  if (errno != ENOTEMPTY && errno != EEXIST) return false;
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || !empty_tree(fd)) return false;
  return unlinkat(parent, name, AT_REMOVEDIR) == 0;
}
