// Copies files: one by one from one root into another, as a build asks, or a whole layer as it is.
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static int source_fd;

static char *copy_word(char *into, size_t size) {
  const char *word = next_word();
  if (word == NULL || strlen(word) >= size) fail("system", "was asked for half a copy");
  return strcpy(into, word);
}

static int open_source_parent(const char *path) {
  static char known_path[path_bytes_max];
  static int known_fd = -1;
  if (known_fd >= 0 && strcmp(path, known_path) == 0) return known_fd;
  if (known_fd >= 0) close(known_fd);
  known_fd = open_below(source_fd, path, O_RDONLY | O_DIRECTORY);
  if (known_fd < 0) fail_errno("open directory", path);
  strcpy(known_path, path);
  return known_fd;
}

static void copy_data(int from, int to, uint64_t size, const char *path) {
  while (size > 0) {
    ssize_t copied = copy_file_range(from, NULL, to, NULL, size, 0);
    if (copied < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP)) break;
    if (copied < 0 && errno != EINTR) fail_errno("write", path);
    if (copied == 0) return;
    if (copied > 0) size -= (uint64_t)copied;
  }
  static char buffer[256 * 1024];
  for (ssize_t got; size > 0 && (got = read(from, buffer, sizeof buffer)) != 0;) {
    if (got < 0) fail_errno("read", path);
    for (ssize_t done = 0; done < got;) {
      ssize_t wrote = write(to, buffer + done, (size_t)(got - done));
      if (wrote < 0) fail_errno("write", path);
      done += wrote;
    }
  }
}

static unsigned number(const char *word) { return (unsigned)strtoul(word == NULL ? "" : word, NULL, 8); }

// What a tar's header would have said.
static void describe(struct entry *entry, const struct stat *status, int fd, const char *path) {
  entry->mode = status->st_mode & 07777;
  entry->uid = status->st_uid;
  entry->gid = status->st_gid;
  entry->mtime = status->st_mtim;
  entry->size = (uint64_t)status->st_size;
  entry->device_major = entry->device_minor = 0;
  entry->xattr_count = fd < 0 ? 0 : read_xattrs(fd, path, entry->xattrs);
}

// "uid:gid"; nothing is changed by "".
static void set_owner(struct entry *entry, const char *owner) {
  if (*owner == 0) return;
  char *end;
  entry->uid = (uid_t)strtoul(owner, &end, 10);
  entry->gid = (gid_t)strtoul(*end == 0 ? end : end + 1, NULL, 10);
}

static void copy_one(const struct found *found, struct entry *entry, const char *owner, const char *mode) {
  const mode_t kind = found->status.st_mode & S_IFMT;
  int fd = S_ISREG(kind) ? open_found(found) : -1;
  describe(entry, &found->status, fd, found->path);
  set_owner(entry, owner);
  if (*mode != 0 && !S_ISLNK(kind)) entry->mode = number(mode);
  entry->type = S_ISREG(kind) ? '0' : S_ISDIR(kind) ? '5' : S_ISLNK(kind) ? '2' : '6';
  if (S_ISLNK(kind)) {
    ssize_t size = readlinkat(found->parent, found->name, entry->link, sizeof entry->link - 1);
    if (size < 0) fail_errno("read link", found->path);
    entry->link[size] = 0;
  }
  if (!S_ISREG(kind) && !S_ISDIR(kind) && !S_ISLNK(kind) && !S_ISFIFO(kind)) fail("bad", "has a device or socket, which is not copied: %s", found->path);
  int to = tree_add(entry);
  if (to >= 0) {
    copy_data(fd, to, entry->size, entry->path);
    tree_finish_file(to, entry);
  }
  if (fd >= 0) close(fd);
}

// Makes what is missing of a directory and those above it, with this owner.
static void make_directories(struct entry *entry, const char *owner, const char *mode) {
  char whole[path_bytes_max];
  strcpy(whole, entry->path);
  for (char *end = whole; *end != 0;) {
    end = strchrnul(end == whole ? end : end + 1, '/');
    size_t length = (size_t)(end - whole);
    memcpy(entry->path, whole, length);
    entry->path[length] = 0;
    int there = open_inside(entry->path, O_RDONLY | O_DIRECTORY);
    if (there >= 0) {
      close(there);
      continue;
    }
    *entry = (struct entry){.type = '5', .mode = *mode == 0 ? 0755 : number(mode)};
    memcpy(entry->path, whole, length);
    set_owner(entry, owner);
    entry->mtime = started_at;
    tree_add(entry);
  }
}

// Five words each: what to do, path in the source, path in the root, "uid:gid" or "", octal mode or "". To do: "copy"; "enter", where a
// file goes into a directory that is at its place; "make" directories.
void copy_files(int source) {
  static struct entry entry;
  source_fd = source;
  for (char *word; (word = next_word()) != NULL;) {
    char what[16], from[path_bytes_max], owner[64], mode[32], directory[path_bytes_max];
    if (strlen(word) >= sizeof what) fail("system", "does not know what to do: %.20s", word);
    strcpy(what, word);
    copy_word(from, sizeof from);
    copy_word(entry.path, sizeof entry.path);
    copy_word(owner, sizeof owner);
    copy_word(mode, sizeof mode);
    if (strcmp(what, "make") == 0) {
      make_directories(&entry, owner, mode);
      continue;
    }
    struct found found = {.path = from, .name = split(from, directory), .fd = -1};
    found.parent = open_source_parent(directory);
    if (*found.name == 0) found.name = ".";
    if (fstatat(found.parent, found.name, &found.status, AT_SYMLINK_NOFOLLOW) != 0) fail_errno("look at", from);
    int there = strcmp(what, "enter") == 0 ? open_inside(entry.path, O_RDONLY | O_DIRECTORY) : -1;
    if (there >= 0) {
      close(there);
      if (strlen(entry.path) + strlen(found.name) + 2 > sizeof entry.path) fail("bad", "has a path longer than %d bytes", path_bytes_max - 1);
      strcat(strcat(entry.path, "/"), found.name);
    }
    copy_one(&found, &entry, owner, mode);
  }
}

static bool is_opaque(int fd) {
  char opaque;
  return fgetxattr(fd, "trusted.overlay.opaque", &opaque, 1) == 1 && opaque == 'y';
}

static void snapshot_enter(const struct found *found) {
  static struct entry entry;
  const struct stat *s = &found->status;
  strcpy(entry.path, found->path);
  if (S_ISCHR(s->st_mode) || S_ISBLK(s->st_mode)) {
    // Whiteouts among them.
    char directory[path_bytes_max];
    const char *name = split(found->path, directory);
    int parent = open_parent(directory);
    if (mknodat(parent, name, s->st_mode & (S_IFMT | 07777), s->st_rdev) != 0 || fchownat(parent, name, s->st_uid, s->st_gid, AT_SYMLINK_NOFOLLOW) != 0)
      fail_errno("make", found->path);
    const struct timespec both[2] = {s->st_mtim, s->st_mtim};
    if (utimensat(parent, name, both, AT_SYMLINK_NOFOLLOW) != 0) fail_errno("set time of", found->path);
    return;
  }
  if (S_ISSOCK(s->st_mode)) return;
  const char *link = S_ISREG(s->st_mode) && s->st_nlink > 1 ? find_link(s, found->path) : NULL;
  if (link != NULL) {
    entry.type = '1';
    strcpy(entry.link, link);
    tree_add(&entry);
    return;
  }
  copy_one(found, &entry, "", "");
  if (!S_ISDIR(s->st_mode) || !is_opaque(found->fd)) return;
  int fd = open_inside(found->path, O_RDONLY | O_DIRECTORY);
  if (fd < 0 || fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) != 0) fail_errno("mark as opaque", found->path);
  close(fd);
}

void copy_tree(int source) {
  walk(source, "", &(struct walker){snapshot_enter, NULL});
}

// An empty file or directory at a path, and then the directories above it that hold nothing else: in a layer they say nothing.
static void clear_stub(char *path) {
  bool first = true;
  for (;; first = false) {
    char directory[path_bytes_max];
    const char *name = split(path, directory);
    if (*name == 0) return;
    int parent = open_inside(directory, O_RDONLY | O_DIRECTORY);
    struct stat status;
    if (parent < 0) return;
    bool there = fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (there && S_ISDIR(status.st_mode)) {
      int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      there = fd >= 0 && !is_opaque(fd) && unlinkat(parent, name, AT_REMOVEDIR) == 0;
      if (fd >= 0) close(fd);
    } else if (there) {
      there = first && S_ISREG(status.st_mode) && status.st_size == 0 && unlinkat(parent, name, 0) == 0;
    }
    close(parent);
    if (!there) return;
    strcpy(path, directory);
  }
}

void clear_stubs(void) {
  for (char *path; (path = next_word()) != NULL;)
    if (strlen(path) < path_bytes_max) clear_stub(path);
}
