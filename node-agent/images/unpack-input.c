// What comes in on stdin: hashed and kept as it came, and given on as what it unpacks to.
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { head_bytes = 16, room_bytes = 256 * 1024 };

struct input input;
static uint8_t room[head_bytes + room_bytes];
static bool is_open, at_end, failing;
static bool hashed;
static struct sha256 digest;
static int keep_fd = -1;
static uint64_t seen_bytes, kept_bytes;

void input_open(const struct wanted_input *wanted) {
  is_open = true;
  at_end = false;
  hashed = wanted->hashed;
  keep_fd = wanted->keep_fd;
  kept_bytes = wanted->kept_bytes;
  seen_bytes = 0;
  input.at = input.end = room + head_bytes;
  sha256_start(&digest);
  decode_start();
}

// The bytes that the file does not have yet.
static void keep(const uint8_t *data, size_t size) {
  if (keep_fd < 0 || seen_bytes + size <= kept_bytes) return;
  size_t known = seen_bytes < kept_bytes ? (size_t)(kept_bytes - seen_bytes) : 0;
  for (size_t done = known; done < size;) {
    ssize_t wrote = write(keep_fd, data + done, size - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0) fail_errno("keep", "what came");
    done += (size_t)wrote;
  }
}

static size_t receive(uint8_t *into, size_t size) {
  ssize_t got;
  do got = read(0, into, size);
  while (got < 0 && errno == EINTR);
  if (got < 0) fail_errno("read", "the archive");
  if (hashed) sha256_add(&digest, into, (size_t)got);
  keep(into, (size_t)got);
  seen_bytes += (size_t)got;
  return (size_t)got;
}

bool input_fill(size_t least) {
  size_t left = (size_t)(input.end - input.at);
  if (left >= least) return true;
  memmove(room + head_bytes, input.at, left);
  input.at = room + head_bytes;
  while (left < least && !at_end) {
    size_t got = receive(room + head_bytes + left, room_bytes - left);
    at_end = got == 0;
    left += got;
  }
  input.end = input.at + left;
  return left >= least;
}

void input_end(char *hex) {
  while (!at_end) at_end = receive(room, sizeof room) == 0;
  if (hashed) sha256_end(&digest, hex);
  else *hex = 0;
}

// Whoever sent what is broken learns what came: it may not be what was promised.
void tell_input(void) {
  if (!is_open || !hashed || failing) return;
  failing = true;
  char hex[65];
  input_end(hex);
  say("input %s\n", hex);
}
