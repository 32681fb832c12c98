/* Throws hostile tars at naru-unpack's reader, built with sanitizers: headers, pax records, long names, numbers. What it would write is
   only looked at. The same seed gives the same tars. */
#include "../../node-agent/images/unpack-tar.c"
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

enum { hostile_bytes_max = 64 * 1024, entries_max = 1000 };

static long entries;
static uint64_t counted;

void count_entry(void) {
  if (++counted > entries_max) fail("bad", "too many entries");
}

static void check(bool right, const char *what) {
  if (right) return;
  fprintf(stderr, "wrong: %s\n", what);
  abort();
}

static bool is_clean(const char *path) {
  if (*path == '/' || strstr(path, "//") != NULL) return false;
  for (const char *at = path; *at != 0;) {
    size_t size = strcspn(at, "/");
    if ((size == 1 && *at == '.') || (size == 2 && memcmp(at, "..", 2) == 0)) return false;
    at += size + (at[size] == '/');
  }
  return true;
}

int tree_add(struct entry *entry) {
  count_entry();
  entries++;
  check(strnlen(entry->path, path_bytes_max) < path_bytes_max, "a path ends");
  check(is_clean(entry->path), "a path leads nowhere else");
  check(entry->type != '1' || is_clean(entry->link), "a hard link leads nowhere else");
  check(entry->mode <= 07777, "a mode is one");
  for (size_t i = 0; i < entry->xattr_count; i++) check(entry->xattrs[i].value[entry->xattrs[i].size] == 0, "an attribute ends");
  return entry->type == '0' ? open("/dev/null", O_WRONLY | O_CLOEXEC) : -1;
}

void tree_finish_file(int fd, const struct entry *entry) {
  (void)entry;
  close(fd);
}

static const char *const names[] = {"usr/bin/sh", "../../etc/passwd", "/etc/shadow", "a//b/./c", "..", ".wh..wh..opq", ".wh.x", "dir/", "", "./"};
// Extended headers more often than the rest: they mean something only one after another, and before an entry.
static const char types[] = "01234567xxxxxxLLKgSV\0";
static const char *const records[] = {"path=y/z", "linkpath=y", "uid=7", "mtime=1", "SCHILY.xattr.user.c=d", "path=../x", "path=/y", "linkpath=../../z", "size=99999999999999999999", "size=-1", "uid=4294967295",
                                      "mtime=1.5", "mtime=-0.000000001x", "SCHILY.xattr.user.a=b", "GNU.sparse.major=1", "=", "size=12"};

static size_t put_header(char *tar, size_t at, char type, size_t size) {
  struct header header = {0};
  snprintf(header.name, sizeof header.name, "%s", names[below(sizeof names / sizeof names[0])]);
  if (below(4) == 0) memset(header.name, 'n', sizeof header.name);
  snprintf(header.mode, sizeof header.mode, "%07o", below(010000));
  snprintf(header.uid, sizeof header.uid, "%07o", below(2000));
  snprintf(header.gid, sizeof header.gid, "%07o", below(2000));
  snprintf(header.size, sizeof header.size, "%011zo", size);
  snprintf(header.mtime, sizeof header.mtime, "%011o", below(1 << 30));
  snprintf(header.link, sizeof header.link, "%s", names[below(sizeof names / sizeof names[0])]);
  memcpy(header.magic, "ustar\0" "00", 8);
  if (below(6) == 0) memset(header.prefix, 'p', sizeof header.prefix);
  header.type = type;
  char *bytes = (char *)&header;
  for (uint32_t flips = below(3); flips > 0; flips--) bytes[below(sizeof header)] = (char)below(256);
  if (below(8) == 0) header.size[0] = (char)(0x80 | below(128));
  uint64_t sum = 0;
  memset(header.checksum, ' ', sizeof header.checksum);
  for (size_t i = 0; i < sizeof header; i++) sum += (unsigned char)bytes[i];
  snprintf(header.checksum, sizeof header.checksum, "%06lo", (unsigned long)sum);
  memcpy(tar + at, &header, sizeof header);
  return at + sizeof header;
}

static size_t put_pax(char *text, size_t capacity) {
  size_t size = 0;
  for (uint32_t count = 1 + below(4); count > 0; count--) {
    const char *record = records[below(sizeof records / sizeof records[0])];
    int length = (int)strlen(record) + 4;
    int wrote = snprintf(text + size, capacity - size, "%d %s\n", below(8) == 0 ? (int)below(100) : length - (length < 10), record);
    if (wrote > 0 && (size_t)wrote < capacity - size) size += (size_t)wrote;
  }
  return size;
}

static size_t make(char *tar) {
  size_t at = 0;
  for (uint32_t count = below(8); count > 0 && at < hostile_bytes_max / 2; count--) {
    char body[2048];
    char type = types[below(sizeof types - 1)];
    size_t size = type == 'x' || type == 'g' ? put_pax(body, sizeof body) : below(sizeof body);
    if (type != 'x' && type != 'g') memset(body, below(2) == 0 ? 'b' : '/', size);
    at = put_header(tar, at, type, size);
    memcpy(tar + at, body, size);
    memset(tar + at + size, 0, (size_t)padding(size));
    at += size + (size_t)padding(size);
  }
  for (uint32_t flips = below(3); flips > 0 && at > 0; flips--) tar[below((uint32_t)at)] = (char)below(256);
  return below(5) == 0 ? below((uint32_t)at + 1) : at;
}

int main(int argc, char **argv) {
  static char tar[hostile_bytes_max];
  long rounds = argc > 1 ? atol(argv[1]) : 1000;
  state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  int file = memfd_create("tar", 0);
  if (dup2(file, 0) != 0) return 1;
  for (volatile long i = 0; i < rounds; i++) {
    size_t size = make(tar);
    if (ftruncate(0, 0) != 0 || pwrite(0, tar, size, 0) != (ssize_t)size || lseek(0, 0, SEEK_SET) != 0) return 1;
    input_open(&(struct wanted_input){.hashed = true, .keep_fd = -1});
    char digest_text[128];
    counted = 0;
    if (setjmp(refused) == 0) unpack_tar(1 << 20, 1 << 20, digest_text);
  }
  for (int fd = 3; fd < 1024; fd++) close(fd);
  printf("%ld rounds, entries %s, refusals %s\n", rounds, entries > 0 ? "some" : "none", refusals > 0 ? "some" : "none");
  return 0;
}
