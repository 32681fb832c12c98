// Reads a tar: ustar, pax, GNU long names, old v7. Every number and name in it is a stranger's.
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { block_bytes = 512, pax_bytes_max = 1024 * 1024 };

// ustar's header, as POSIX lays it out.
struct header {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[8];
  char user[32];
  char group[32];
  char device_major[8];
  char device_minor[8];
  char prefix[155];
  char rest[12];
};

// What pax headers and GNU long names say about the entry that follows; NULL or false when they say nothing.
struct overrides {
  const char *path;
  const char *link;
  bool has_size, has_uid, has_gid, has_mtime;
  uint64_t size, uid, gid;
  struct timespec mtime;
  struct xattr xattrs[xattrs_max];
  size_t xattr_count;
  // Memory that the above points into.
  char *held[3];
};

static const uint8_t *piece;
static size_t piece_left;
static struct sha256 digest;
static bool hashed;
static uint64_t tar_bytes;
static uint64_t tar_bytes_max;

// At least one byte, unless the tar is at its end.
static size_t available(void) {
  if (piece_left > 0) return piece_left;
  piece_left = next_piece(&piece);
  if (hashed) sha256_add(&digest, piece, piece_left);
  tar_bytes += piece_left;
  if (tar_bytes > tar_bytes_max) fail("bad", "unpacks to more than %llu bytes", (unsigned long long)tar_bytes_max);
  return piece_left;
}

static void pass(size_t size) {
  piece += size;
  piece_left -= size;
}

static size_t read_up_to(char *into, size_t size) {
  size_t done = 0;
  while (done < size) {
    size_t part = available();
    if (part == 0) break;
    if (part > size - done) part = size - done;
    memcpy(into + done, piece, part);
    pass(part);
    done += part;
  }
  return done;
}

static void skip(uint64_t size) {
  while (size > 0) {
    size_t part = available();
    if (part == 0) fail("bad", "ends in the middle of an entry");
    if (part > size) part = (size_t)size;
    pass(part);
    size -= part;
  }
}

static uint64_t padding(uint64_t size) { return (block_bytes - size % block_bytes) % block_bytes; }

// Octal with spaces around, or base 256 when the first bit is set.
static int64_t number(const char *field, size_t size) {
  const unsigned char *bytes = (const unsigned char *)field;
  int64_t value = 0;
  if ((bytes[0] & 0x80) != 0) {
    bool negative = (bytes[0] & 0x40) != 0;
    value = negative ? -1 : 0;
    for (size_t i = 0; i < size; i++) {
      unsigned char byte = i > 0 ? bytes[i] : negative ? bytes[0] | 0x80 : bytes[0] & 0x7f;
      if (value > INT64_MAX >> 8 || value < -(INT64_MAX >> 8)) fail("bad", "has a number that is too large");
      value = value * 256 + byte;
    }
    return value;
  }
  size_t i = 0;
  while (i < size && field[i] == ' ') i++;
  for (; i < size && field[i] >= '0' && field[i] <= '7'; i++) value = value * 8 + (field[i] - '0');
  if (i < size && field[i] != 0 && field[i] != ' ') fail("bad", "has a number that is none");
  return value;
}

static uint64_t natural(const char *field, size_t size) {
  int64_t value = number(field, size);
  if (value < 0) fail("bad", "has a negative number where there can be none");
  return (uint64_t)value;
}

static void check_sum(const struct header *header) {
  const unsigned char *bytes = (const unsigned char *)header;
  uint64_t sum = 0;
  for (size_t i = 0; i < block_bytes; i++) {
    bool of_sum = i >= offsetof(struct header, checksum) && i < offsetof(struct header, checksum) + sizeof header->checksum;
    sum += of_sum ? ' ' : bytes[i];
  }
  if (sum != natural(header->checksum, sizeof header->checksum)) fail("bad", "is no tar: a header's checksum is wrong");
}

static bool is_zero(const struct header *header) {
  const char *bytes = (const char *)header;
  return bytes[0] == 0 && memcmp(bytes, bytes + 1, block_bytes - 1) == 0;
}

// Drops leading, doubled and trailing slashes and "."; refuses "..".
static void clean(const char *path, char *into) {
  size_t length = 0;
  for (const char *at = path; *at != 0;) {
    const char *end = strchrnul(at, '/');
    size_t part = (size_t)(end - at);
    if (part == 2 && memcmp(at, "..", 2) == 0) fail("bad", "has an entry that leads outside of the image: %s", path);
    if (part > 0 && !(part == 1 && *at == '.')) {
      if (length + part + 2 > path_bytes_max) fail("bad", "has a path longer than %d bytes", path_bytes_max - 1);
      if (length > 0) into[length++] = '/';
      memcpy(into + length, at, part);
      length += part;
    }
    at = *end == 0 ? end : end + 1;
  }
  into[length] = 0;
}

static char *read_text(uint64_t size) {
  if (size > pax_bytes_max) fail("bad", "has an extended header of more than %d bytes", pax_bytes_max);
  char *text = malloc(size + 1);
  if (text == NULL) fail("system", "out of memory");
  if (read_up_to(text, size) != size) fail("bad", "ends in the middle of an entry");
  text[size] = 0;
  skip(padding(size));
  return text;
}

static uint64_t decimal(const char *text) {
  char *end;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != 0 || *text == '-' || value > INT64_MAX) fail("bad", "has a number that is none");
  return value;
}

// "seconds[.fraction]", perhaps negative.
static struct timespec decimal_time(const char *text) {
  char *end;
  errno = 0;
  long long seconds = strtoll(text, &end, 10);
  if (errno != 0 || end == text) fail("bad", "has a time that is none");
  long nanoseconds = 0;
  if (*end == '.') {
    long unit = 100000000;
    for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10) nanoseconds += (*end - '0') * unit;
  }
  if (*end != 0) fail("bad", "has a time that is none");
  if (*text == '-' && nanoseconds > 0) {
    seconds--;
    nanoseconds = 1000000000 - nanoseconds;
  }
  return (struct timespec){seconds, nanoseconds};
}

static void apply_record(struct overrides *o, char *key, char *value, size_t value_size) {
  static const char xattr_prefix[] = "SCHILY.xattr.";
  if (strncmp(key, xattr_prefix, sizeof xattr_prefix - 1) == 0) {
    if (o->xattr_count == xattrs_max) fail("bad", "has a file with more than %d attributes", xattrs_max);
    o->xattrs[o->xattr_count++] = (struct xattr){key + sizeof xattr_prefix - 1, value, value_size};
    return;
  }
  if (strncmp(key, "GNU.sparse.", 11) == 0) fail("bad", "has a sparse file, which Naru does not unpack");
  if (strlen(value) != value_size) fail("bad", "has an extended header with a zero byte in it");
  if (strcmp(key, "path") == 0) o->path = value;
  if (strcmp(key, "linkpath") == 0) o->link = value;
  if (strcmp(key, "size") == 0) o->size = decimal(value), o->has_size = true;
  if (strcmp(key, "uid") == 0) o->uid = decimal(value), o->has_uid = true;
  if (strcmp(key, "gid") == 0) o->gid = decimal(value), o->has_gid = true;
  if (strcmp(key, "mtime") == 0) o->mtime = decimal_time(value), o->has_mtime = true;
}

// Records of "length key=value\n"; the length counts itself and the newline.
static void read_pax(struct overrides *o, uint64_t size) {
  // What the first one says lies in its text: it cannot make room for a second one, which no program writes.
  if (o->held[0] != NULL) fail("bad", "has two extended headers for one entry");
  char *text = o->held[0] = read_text(size);
  for (char *at = text; at < text + size;) {
    char *space;
    unsigned long long length = strtoull(at, &space, 10);
    if (*space != ' ' || *at < '0' || *at > '9' || length > (size_t)(text + size - at) || length < (size_t)(space - at) + 3)
      fail("bad", "has an extended header that makes no sense");
    char *end = at + length - 1;
    char *equals = memchr(space + 1, '=', (size_t)(end - space - 1));
    if (*end != '\n' || equals == NULL) fail("bad", "has an extended header that makes no sense");
    *end = 0;
    *equals = 0;
    apply_record(o, space + 1, equals + 1, (size_t)(end - equals - 1));
    at = end + 1;
  }
}

static const char *read_long_name(struct overrides *o, int place, uint64_t size) {
  free(o->held[place]);
  return o->held[place] = read_text(size);
}

static void forget(struct overrides *o) {
  for (size_t i = 0; i < 3; i++) free(o->held[i]);
  memset(o, 0, sizeof *o);
}

static void copy_field(char *into, const char *field, size_t size) {
  size_t length = strnlen(field, size);
  memcpy(into, field, length);
  into[length] = 0;
}

static void read_names(const struct header *header, const struct overrides *o, struct entry *entry) {
  char name[sizeof header->prefix + sizeof header->name + 2];
  name[0] = 0;
  // GNU's own format keeps other things where ustar has the prefix.
  if (memcmp(header->magic, "ustar\0", 6) == 0 && header->prefix[0] != 0) {
    copy_field(name, header->prefix, sizeof header->prefix);
    strcat(name, "/");
  }
  copy_field(name + strlen(name), header->name, sizeof header->name);
  const char *path = o->path != NULL ? o->path : name;
  clean(path, entry->path);
  if (entry->type == '0' && *path != 0 && path[strlen(path) - 1] == '/') entry->type = '5';

  char link[sizeof header->link + 1];
  copy_field(link, header->link, sizeof header->link);
  const char *target = o->link != NULL ? o->link : link;
  if (strlen(target) >= path_bytes_max) fail("bad", "has a link longer than %d bytes", path_bytes_max - 1);
  if (entry->type == '1') clean(target, entry->link);
  if (entry->type == '2') strcpy(entry->link, target);
}

static uint32_t id_number(uint64_t value) {
  if (value >= UINT32_MAX) fail("bad", "has an owner that is out of range: %llu", (unsigned long long)value);
  return (uint32_t)value;
}

static void read_entry(const struct header *header, const struct overrides *o, struct entry *entry) {
  entry->type = header->type == 0 || header->type == '7' ? '0' : header->type;
  if (entry->type < '0' || entry->type > '6') {
    const char type = header->type;
    fail("bad", "has an entry of a type that Naru does not unpack: %c", type > ' ' && type < 127 ? type : '?');
  }
  read_names(header, o, entry);
  entry->mode = (mode_t)(natural(header->mode, sizeof header->mode) & 07777);
  entry->uid = id_number(o->has_uid ? o->uid : natural(header->uid, sizeof header->uid));
  entry->gid = id_number(o->has_gid ? o->gid : natural(header->gid, sizeof header->gid));
  entry->mtime = o->has_mtime ? o->mtime : (struct timespec){number(header->mtime, sizeof header->mtime), 0};
  // Links and devices have no data, whatever their size says.
  entry->size = entry->type == '0' ? o->has_size ? o->size : natural(header->size, sizeof header->size) : 0;
  if (entry->type == '3' || entry->type == '4') {
    entry->device_major = (unsigned)natural(header->device_major, sizeof header->device_major);
    entry->device_minor = (unsigned)natural(header->device_minor, sizeof header->device_minor);
  }
  memcpy(entry->xattrs, o->xattrs, o->xattr_count * sizeof o->xattrs[0]);
  entry->xattr_count = o->xattr_count;
}

static void copy_data(int fd, const struct entry *entry) {
  for (uint64_t left = entry->size; left > 0;) {
    size_t part = available();
    if (part == 0) fail("bad", "ends in the middle of %s", entry->path);
    if (part > left) part = (size_t)left;
    ssize_t wrote = write(fd, piece, part);
    if (wrote < 0) fail_errno("write", entry->path);
    pass((size_t)wrote);
    left -= (size_t)wrote;
  }
}

bool begins_tar(void) {
  struct header header;
  hashed = false;
  tar_bytes = 0;
  piece_left = 0;
  tar_bytes_max = UINT64_MAX;
  if (read_up_to((char *)&header, sizeof header) < sizeof header || is_zero(&header)) return false;
  check_sum(&header);
  return true;
}

uint64_t unpack_tar(uint64_t bytes_max, uint64_t whole_bytes_max, char *hex) {
  sha256_start(&digest);
  hashed = hex != NULL;
  tar_bytes = 0;
  piece_left = 0;
  tar_bytes_max = whole_bytes_max;
  static struct entry entry;
  struct overrides o = {0};
  struct header header;
  _Static_assert(sizeof header == block_bytes, "a tar header is one block");
  uint64_t bytes = 0;
  for (;;) {
    size_t got = read_up_to((char *)&header, sizeof header);
    if (got == 0 || (got == sizeof header && is_zero(&header))) break;
    if (got < sizeof header) fail("bad", "ends in the middle of a header");
    check_sum(&header);
    uint64_t size = natural(header.size, sizeof header.size);
    switch (header.type) {
      case 'x': count_entry(); read_pax(&o, size); continue;
      case 'L': count_entry(); o.path = read_long_name(&o, 1, size); continue;
      case 'K': count_entry(); o.link = read_long_name(&o, 2, size); continue;
      case 'g': count_entry(); skip(size); skip(padding(size)); continue;
      case 'S': fail("bad", "has a sparse file, which Naru does not unpack");
      default: break;
    }
    read_entry(&header, &o, &entry);
    if (entry.size > bytes_max - bytes) fail("bad", "unpacks to more than %llu bytes", (unsigned long long)bytes_max);
    bytes += entry.size;
    int fd = tree_add(&entry);
    if (fd >= 0) {
      copy_data(fd, &entry);
      tree_finish_file(fd, &entry);
    } else {
      skip(entry.size);
    }
    skip(padding(entry.size));
    forget(&o);
  }
  // What follows the end belongs to the layer's digest all the same: read it, so that the writer can end.
  for (size_t part; (part = available()) > 0;) pass(part);
  if (hashed) sha256_end(&digest, hex);
  return bytes;
}
