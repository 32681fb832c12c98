// What files are, told in records: for caches that go by content, for what a container changed, for what lies on the disk.
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void content_digest(const struct found *found, char *hex) {
  static char buffer[256 * 1024];
  struct sha256 hash;
  sha256_start(&hash);
  int fd = open_found(found);
  for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) != 0;) {
    if (got < 0 && errno != EINTR) fail_errno("read", found->path);
    if (got > 0) sha256_add(&hash, buffer, (size_t)got);
  }
  close(fd);
  sha256_end(&hash, hex);
}

static char kind_of(mode_t mode) {
  if (S_ISREG(mode)) return 'f';
  if (S_ISDIR(mode)) return 'd';
  if (S_ISLNK(mode)) return 'l';
  return 'o';
}

static bool without_content;

// "kind mode uid gid size mtime device path" and the digest of a file or the target of a link, each ended by a zero byte.
static void print_record(const struct found *found) {
  const struct stat *s = &found->status;
  char detail[path_bytes_max] = "";
  if (S_ISREG(s->st_mode) && !without_content) content_digest(found, detail);
  if (S_ISLNK(s->st_mode)) {
    ssize_t size = readlinkat(found->parent, found->name, detail, sizeof detail - 1);
    if (size < 0) fail_errno("read link", found->path);
    detail[size] = 0;
  }
  say("%c %o %u %u %llu %lld %llu ", kind_of(s->st_mode), s->st_mode & 07777, s->st_uid, s->st_gid, (unsigned long long)s->st_size,
      (long long)s->st_mtim.tv_sec, (unsigned long long)s->st_rdev);
  write_out(found->path, strlen(found->path) + 1);
  write_out(detail, strlen(detail) + 1);
}

// The directory of the path before, mostly. -1: there is none.
static int open_known(const char *directory) {
  static char known[path_bytes_max];
  static int fd = -1;
  if (fd >= 0 && strcmp(directory, known) == 0) return fd;
  if (fd >= 0) close(fd);
  fd = open_inside(directory, O_RDONLY | O_DIRECTORY);
  if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != ELOOP) fail_errno("open directory", directory);
  strcpy(known, directory);
  return fd;
}

// A path that ends with "/" means all below it too. What is not there gives no record.
void print_digests(void) {
  for (char *path; (path = next_word()) != NULL;) {
    size_t length = strlen(path);
    bool all = length == 0 || path[length - 1] == '/';
    if (all && length > 0) path[length - 1] = 0;
    if (all) {
      walk(root_fd, path, &(struct walker){print_record, NULL});
      continue;
    }
    char directory[path_bytes_max];
    struct found found = {.path = path, .name = split(path, directory), .fd = -1};
    found.parent = open_known(directory);
    if (found.parent < 0) continue;
    if (fstatat(found.parent, found.name, &found.status, AT_SYMLINK_NOFOLLOW) == 0) print_record(&found);
    else if (errno != ENOENT) fail_errno("look at", path);
  }
}

void print_stat(const char *path) {
  without_content = true;
  walk_one(root_fd, path, print_record);
}

static int lower_fd;

static void print_change(const struct found *found) {
  if (*found->path == 0) return;
  const struct stat *s = &found->status;
  struct stat lower;
  bool below = fstatat(lower_fd, found->path, &lower, AT_SYMLINK_NOFOLLOW) == 0;
  bool gone = is_whiteout(s);
  // Directories on the way to a change are here as they were there.
  bool same = below && S_ISDIR(s->st_mode) && S_ISDIR(lower.st_mode) && s->st_mode == lower.st_mode && s->st_uid == lower.st_uid &&
              s->st_gid == lower.st_gid && s->st_mtim.tv_sec == lower.st_mtim.tv_sec && s->st_mtim.tv_nsec == lower.st_mtim.tv_nsec;
  if (same || (gone && !below)) return;
  write_out(gone ? "D" : below ? "C" : "A", 1);
  write_out(found->path, strlen(found->path) + 1);
}

void print_changes(int lower) {
  lower_fd = lower;
  walk(root_fd, "", &(struct walker){print_change, NULL});
}

static uint64_t measured_bytes;
static uint64_t measured_entries;

static void measure_entry(const struct found *found) {
  measured_entries++;
  if (S_ISREG(found->status.st_mode)) measured_bytes += (uint64_t)found->status.st_size;
}

uint64_t measure_tree(uint64_t *entries) {
  measured_bytes = measured_entries = 0;
  walk(root_fd, "", &(struct walker){measure_entry, NULL});
  *entries = measured_entries;
  return measured_bytes;
}
