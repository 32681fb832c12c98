// Writes a tar (ustar, with pax records where ustar has no room), the same bytes for the same files whenever it is asked.
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { block_bytes = 512, records_bytes_max = 1024 * 1024 };

static const struct packing *packing;
static struct sha256 digest;
static uint64_t file_bytes;
static char buffer[256 * 1024];
static size_t buffered;
static char records[records_bytes_max];
static size_t records_bytes;

static void flush(void) {
  sha256_add(&digest, buffer, buffered);
  for (size_t done = 0; packing->output >= 0 && done < buffered;) {
    ssize_t wrote = write(packing->output, buffer + done, buffered - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) fail_errno("write", "the archive");
    done += (size_t)wrote;
  }
  buffered = 0;
}

static void put(const void *data, size_t size) {
  for (const char *at = data; size > 0;) {
    if (buffered == sizeof buffer) flush();
    size_t part = size < sizeof buffer - buffered ? size : sizeof buffer - buffered;
    memcpy(buffer + buffered, at, part);
    buffered += part;
    at += part;
    size -= part;
  }
}

static void put_zeros(uint64_t size) {
  static const char zeros[2 * block_bytes];
  for (; size > sizeof zeros; size -= sizeof zeros) put(zeros, sizeof zeros);
  put(zeros, (size_t)size);
}

static void put_padding(uint64_t size) { put_zeros((block_bytes - size % block_bytes) % block_bytes); }

// "length key=value\n"; the length counts itself.
static void add_record(const char *key, const void *value, size_t size) {
  size_t rest = strlen(key) + size + 3;
  size_t length = rest + 1;
  char digits[24];
  while (rest + (size_t)snprintf(digits, sizeof digits, "%zu", length) != length) length++;
  if (length + 1 > sizeof records - records_bytes) fail("bad", "has a file with too large attributes");
  records_bytes += (size_t)sprintf(records + records_bytes, "%s %s=", digits, key);
  memcpy(records + records_bytes, value, size);
  records_bytes += size;
  records[records_bytes++] = '\n';
}

static void add_text_record(const char *key, const char *value) { add_record(key, value, strlen(value)); }

static void add_number_record(const char *key, int64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%lld", (long long)value);
  add_text_record(key, text);
}

// Octal with a zero byte behind it; a record says it when it has no room.
static void put_number(char *field, size_t size, int64_t value, const char *key) {
  int64_t room = (int64_t)1 << (3 * (size - 1));
  if (value < 0 || value >= room) {
    add_number_record(key, value);
    value = 0;
  }
  snprintf(field, size, "%0*llo", (int)size - 1, (unsigned long long)value);
}

static void put_name(char *field, size_t size, const char *name, const char *key) {
  size_t length = strlen(name);
  if (length > size) add_text_record(key, name);
  memcpy(field, name, length < size ? length : size);
}

static void put_header(char *header, char type) {
  memcpy(header + 257, "ustar\0" "00", 8);
  header[156] = type;
  memset(header + 148, ' ', 8);
  unsigned sum = 0;
  for (size_t i = 0; i < block_bytes; i++) sum += (unsigned char)header[i];
  snprintf(header + 148, 8, "%06o", sum);
  put(header, block_bytes);
}

static void put_records(void) {
  char header[block_bytes] = {0};
  strcpy(header, "PaxHeaders/entry");
  strcpy(header + 100, "0000644");
  strcpy(header + 108, "0000000");
  strcpy(header + 116, "0000000");
  snprintf(header + 124, 12, "%011o", (unsigned)records_bytes & 0xffffff);
  strcpy(header + 136, "00000000000");
  put_header(header, 'x');
  put(records, records_bytes);
  put_padding(records_bytes);
}

struct named {
  const char *name;
  const char *link;
  char type;
  uint64_t size;
};

static void put_entry(const struct stat *status, const struct named *named) {
  char header[block_bytes] = {0};
  put_name(header, 100, named->name, "path");
  put_name(header + 157, 100, named->link, "linkpath");
  put_number(header + 100, 8, status->st_mode & 07777, "mode");
  put_number(header + 108, 8, status->st_uid, "uid");
  put_number(header + 116, 8, status->st_gid, "gid");
  put_number(header + 124, 12, (int64_t)named->size, "size");
  put_number(header + 136, 12, status->st_mtim.tv_sec, "mtime");
  bool device = named->type == '3' || named->type == '4';
  put_number(header + 329, 8, device ? (int64_t)major(status->st_rdev) : 0, "SCHILY.devmajor");
  put_number(header + 337, 8, device ? (int64_t)minor(status->st_rdev) : 0, "SCHILY.devminor");
  if (records_bytes > 0) put_records();
  records_bytes = 0;
  put_header(header, named->type);
}

static void put_content(const struct found *found, int fd) {
  uint64_t left = (uint64_t)found->status.st_size;
  file_bytes += left;
  while (left > 0) {
    if (buffered == sizeof buffer) flush();
    size_t part = sizeof buffer - buffered;
    if (part > left) part = (size_t)left;
    ssize_t got = read(fd, buffer + buffered, part);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("read", found->path);
    // A running container may make it shorter meanwhile.
    if (got == 0) break;
    buffered += (size_t)got;
    left -= (size_t)got;
  }
  put_zeros(left);
  put_padding((uint64_t)found->status.st_size);
}

static void add_attributes(int fd, const char *path) {
  struct xattr xattrs[xattrs_max];
  size_t count = read_xattrs(fd, path, xattrs);
  for (size_t i = 0; i < count; i++) {
    char key[512];
    snprintf(key, sizeof key, "SCHILY.xattr.%s", xattrs[i].name);
    add_record(key, xattrs[i].value, xattrs[i].size);
  }
}

static void put_file(const struct found *found, const struct stat *status, const char *name) {
  const char *link = status->st_nlink > 1 ? find_link(status, name) : NULL;
  if (link != NULL) {
    put_entry(status, &(struct named){name, link, '1', 0});
    return;
  }
  int fd = open_found(found);
  add_attributes(fd, found->path);
  put_entry(status, &(struct named){name, "", '0', (uint64_t)status->st_size});
  put_content(found, fd);
  close(fd);
}

static void put_symlink(const struct found *found, const struct stat *status, const char *name) {
  char target[path_bytes_max];
  ssize_t size = readlinkat(found->parent, found->name, target, sizeof target - 1);
  if (size < 0) fail_errno("read link", found->path);
  target[size] = 0;
  put_entry(status, &(struct named){name, target, '2', 0});
}

static void put_whiteout(const struct stat *status, const char *name) {
  char directory[path_bytes_max];
  char whiteout[path_bytes_max + 8];
  const char *last = split(name, directory);
  snprintf(whiteout, sizeof whiteout, "%s%s.wh.%s", directory, *directory == 0 ? "" : "/", last);
  struct stat plain = *status;
  plain.st_mode = S_IFREG;
  put_entry(&plain, &(struct named){whiteout, "", '0', 0});
}

static void put_directory(const struct found *found, const struct stat *status, const char *name) {
  char slashed[2 * path_bytes_max + 16];
  snprintf(slashed, sizeof slashed, "%s/", *name == 0 ? "." : name);
  // The root of a layer is as roots are unless somebody changed it.
  bool usual = (status->st_mode & 07777) == 0755 && status->st_uid == 0 && status->st_gid == 0;
  if (*found->path != 0 || !packing->layer || !usual) {
    add_attributes(found->fd, found->path);
    put_entry(status, &(struct named){slashed, "", '5', 0});
  }
  char opaque;
  if (!packing->layer || fgetxattr(found->fd, "trusted.overlay.opaque", &opaque, 1) != 1 || opaque != 'y') return;
  struct stat plain = *status;
  plain.st_mode = S_IFREG;
  snprintf(slashed, sizeof slashed, "%s%s.wh..wh..opq", name, *name == 0 ? "" : "/");
  put_entry(&plain, &(struct named){slashed, "", '0', 0});
}

static void clamp_time(const struct found *found) {
  if (packing->time_max < 0 || found->status.st_mtim.tv_sec < packing->time_max || packing->output >= 0) return;
  const struct timespec both[2] = {{0, UTIME_OMIT}, {packing->time_max, 0}};
  if (utimensat(found->parent, found->name, both, AT_SYMLINK_NOFOLLOW) != 0) fail_errno("set time of", found->path);
}

static void enter(const struct found *found) {
  char name[2 * path_bytes_max + 1];
  const char *below = found->path + strlen(packing->path);
  if (*below == '/') below++;
  // Of the root itself everything lies below, without a slash before it.
  snprintf(name, sizeof name, "%s%s%s", packing->prefix, *packing->prefix == 0 || *below == 0 ? "" : "/", below);
  if (strlen(name) >= path_bytes_max) fail("bad", "has a path longer than %d bytes", path_bytes_max - 1);
  struct stat status = found->status;
  if (packing->time_max >= 0 && status.st_mtim.tv_sec > packing->time_max) status.st_mtim.tv_sec = packing->time_max;
  switch (status.st_mode & S_IFMT) {
    case S_IFREG: put_file(found, &status, name); break;
    case S_IFDIR: put_directory(found, &status, name); break;
    case S_IFLNK: put_symlink(found, &status, name); break;
    case S_IFIFO: put_entry(&status, &(struct named){name, "", '6', 0}); break;
    case S_IFBLK: put_entry(&status, &(struct named){name, "", '4', 0}); break;
    case S_IFCHR:
      if (packing->layer && is_whiteout(&status)) put_whiteout(&status, name);
      else put_entry(&status, &(struct named){name, "", '3', 0});
      break;
    default: break;  // sockets: tars have none
  }
  if (!S_ISDIR(status.st_mode)) clamp_time(found);
}

bool pack_tar(const struct packing *given, char *hex, uint64_t *bytes) {
  packing = given;
  sha256_start(&digest);
  if (!walk(root_fd, packing->path, &(struct walker){enter, clamp_time})) return false;
  put_zeros(2 * block_bytes);
  flush();
  sha256_end(&digest, hex);
  *bytes = file_bytes;
  return true;
}
