// All that lies at and below a path, always in the same order, so that the same files make the same tar.
#define _GNU_SOURCE
#include "unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

struct dirent64_head {
  uint64_t inode;
  int64_t offset;
  unsigned short length;
  unsigned char type;
  char name[];
};

struct names {
  char *text;
  size_t bytes;
  size_t room;
  size_t count;
  char **sorted;
};

// Each level holds a descriptor and its names.
enum { depth_max = 2048 };
static const struct walker *visitor;
static char path[path_bytes_max];

static void add_name(struct names *names, const char *name) {
  size_t size = strlen(name) + 1;
  if (names->bytes + size > names->room) {
    names->room = names->room == 0 ? 4096 : names->room * 2;
    names->text = realloc(names->text, names->room);
    if (names->text == NULL) fail("system", "out of memory");
  }
  memcpy(names->text + names->bytes, name, size);
  names->bytes += size;
  names->count++;
}

static int compare(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void read_names(int fd, struct names *names) {
  static _Alignas(8) char buffer[32768];
  *names = (struct names){0};
  for (long got; (got = syscall(SYS_getdents64, fd, buffer, sizeof buffer)) != 0;) {
    if (got < 0) fail_errno("read directory", path);
    for (long at = 0; at < got;) {
      const struct dirent64_head *found = (const struct dirent64_head *)(buffer + at);
      at += found->length;
      if (strcmp(found->name, ".") != 0 && strcmp(found->name, "..") != 0) add_name(names, found->name);
    }
  }
  names->sorted = malloc((names->count + 1) * sizeof(char *));
  if (names->sorted == NULL) fail("system", "out of memory");
  char *at = names->text;
  for (size_t i = 0; i < names->count; i++, at += strlen(at) + 1) names->sorted[i] = at;
  qsort(names->sorted, names->count, sizeof(char *), compare);
}

static void visit(int parent, const char *name, const struct stat *status, int depth);

static void visit_children(int fd, int depth) {
  if (depth > depth_max) fail("bad", "has directories deeper than %d", depth_max);
  struct names names;
  read_names(fd, &names);
  size_t length = strlen(path);
  for (size_t i = 0; i < names.count; i++) {
    const char *name = names.sorted[i];
    if (length + strlen(name) + 2 > path_bytes_max) fail("bad", "has a path longer than %d bytes", path_bytes_max - 1);
    if (length > 0) path[length] = '/';
    strcpy(path + length + (length > 0), name);
    struct stat status;
    if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0) visit(fd, name, &status, depth);
    else if (errno != ENOENT) fail_errno("look at", path);
    path[length] = 0;
  }
  free(names.sorted);
  free(names.text);
}

static void visit(int parent, const char *name, const struct stat *status, int depth) {
  struct found found = {parent, name, path, *status, -1};
  if (!S_ISDIR(status->st_mode)) {
    visitor->enter(&found);
    return;
  }
  found.fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  // A running container may have changed it since.
  if (found.fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)) return;
  if (found.fd < 0) fail_errno("open directory", path);
  visitor->enter(&found);
  visit_children(found.fd, depth + 1);
  if (visitor->leave != NULL) visitor->leave(&found);
  close(found.fd);
}

static bool find(int root, const char *start, struct found *found) {
  char directory[path_bytes_max];
  if (strlen(start) >= sizeof path) fail("bad", "has a path longer than %d bytes", path_bytes_max - 1);
  strcpy(path, start);
  const char *name = split(path, directory);
  *found = (struct found){open_below(root, directory, O_RDONLY | O_DIRECTORY), *name == 0 ? "." : name, path, {0}, -1};
  if (found->parent >= 0 && fstatat(found->parent, found->name, &found->status, AT_SYMLINK_NOFOLLOW) == 0) return true;
  if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) fail_errno("look at", start);
  if (found->parent >= 0) close(found->parent);
  return false;
}

bool walk(int root, const char *start, const struct walker *walker) {
  struct found found;
  if (!find(root, start, &found)) return false;
  visitor = walker;
  visit(found.parent, found.name, &found.status, 0);
  close(found.parent);
  return true;
}

bool walk_one(int root, const char *start, void (*see)(const struct found *found)) {
  struct found found;
  if (!find(root, start, &found)) return false;
  see(&found);
  close(found.parent);
  return true;
}

struct link {
  dev_t device;
  ino_t inode;
  char *path;
};

// A table by inode, at most three quarters full: strangers decide how many files have several names.
static struct link *links;
static size_t link_count;
static size_t link_room;

static struct link *link_place(struct link *table, size_t room, dev_t device, ino_t inode) {
  size_t at = (size_t)(inode * 0x9e3779b97f4a7c15u >> 20) & (room - 1);
  while (table[at].path != NULL && (table[at].inode != inode || table[at].device != device)) at = (at + 1) & (room - 1);
  return &table[at];
}

static void make_link_room(void) {
  size_t room = link_room == 0 ? 256 : link_room * 2;
  struct link *table = calloc(room, sizeof *table);
  if (table == NULL) fail("system", "out of memory");
  for (size_t i = 0; i < link_room; i++)
    if (links[i].path != NULL) *link_place(table, room, links[i].device, links[i].inode) = links[i];
  free(links);
  links = table;
  link_room = room;
}

const char *find_link(const struct stat *status, const char *path) {
  if (link_count >= link_room / 4 * 3) make_link_room();
  struct link *link = link_place(links, link_room, status->st_dev, status->st_ino);
  if (link->path != NULL) return link->path;
  char *copy = strdup(path);
  if (copy == NULL) fail("system", "out of memory");
  *link = (struct link){status->st_dev, status->st_ino, copy};
  link_count++;
  return NULL;
}

int open_found(const struct found *found) {
  int fd = openat(found->parent, found->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  struct stat status;
  if (fd < 0) fail_errno("open", found->path);
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) fail("bad", "changes while it is read: %s", found->path);
  return fd;
}

size_t read_xattrs(int fd, const char *name, struct xattr *xattrs) {
  static char names[64 * 1024];
  static char values[256 * 1024];
  ssize_t size = flistxattr(fd, names, sizeof names);
  if (size < 0 && errno == ENOTSUP) return 0;
  if (size < 0) fail_errno("read attributes of", name);
  size_t count = 0;
  size_t used = 0;
  for (const char *at = names; at < names + size; at += strlen(at) + 1) {
    if (!wanted_xattr(at)) continue;
    ssize_t got = fgetxattr(fd, at, values + used, sizeof values - used);
    if (got < 0 && errno == ENODATA) continue;
    if (got < 0) fail_errno("read attributes of", name);
    if (count == xattrs_max) fail("bad", "has a file with more than %d attributes: %s", xattrs_max, name);
    size_t place = count++;
    // By name: file systems tell them in any order.
    for (; place > 0 && strcmp(xattrs[place - 1].name, at) > 0; place--) xattrs[place] = xattrs[place - 1];
    xattrs[place] = (struct xattr){at, values + used, (size_t)got};
    used += (size_t)got;
  }
  return count;
}
