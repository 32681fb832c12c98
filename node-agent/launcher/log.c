/* A container's log file in the CRI format: "<RFC 3339 time> <stream> F|P <text>". Rotates by size; keeps path, path.1, …
   Needs no memory between calls: text without its newline yet is written at once as a part (P). The file comes with the first text:
   a container that says nothing costs the disk nothing. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void log_open(struct log *log, const char *path, uint64_t bytes_max, unsigned files_max) {
  *log = (struct log){.fd = -1, .path = path, .bytes_max = bytes_max, .files_max = files_max};
}

static void open_file(struct log *log) {
  log->fd = open(log->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
  struct stat info;
  if (log->fd >= 0 && fstat(log->fd, &info) == 0) log->size = (uint64_t)info.st_size;
}

static void rotate(struct log *log) {
  char from[4096 + 16], to[4096 + 16];
  for (unsigned i = log->files_max; i > 1; i--) {
    snprintf(to, sizeof to, "%s.%u", log->path, i - 1);
    if (i == 2)
      snprintf(from, sizeof from, "%s", log->path);
    else
      snprintf(from, sizeof from, "%s.%u", log->path, i - 2);
    rename(from, to);
  }
  if (log->files_max <= 1) unlink(log->path);
  close(log->fd);
  log->size = 0;
  open_file(log);
}

/* A full disk costs lines, never the container; and a line is there whole or not at all. */
static void append(struct log *log, const char *data, size_t size) {
  if (log->fd < 0 || size == 0) return;
  ssize_t wrote;
  do wrote = write(log->fd, data, size);
  while (wrote < 0 && errno == EINTR);
  if (wrote == (ssize_t)size)
    log->size += size;
  else if (wrote > 0 && ftruncate(log->fd, (off_t)log->size) != 0)
    log->size += (uint64_t)wrote;
}

void log_write(struct log *log, const char *stream, const char *data, size_t size) {
  if (log->path == NULL || size == 0) return;
  if (log->fd < 0) open_file(log);
  if (log->fd >= 0 && log->size >= log->bytes_max) rotate(log);
  if (log->fd < 0) return;
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  char head[64];
  int head_size = snprintf(head, sizeof head, "%04d-%02d-%02dT%02d:%02d:%02d.%09ldZ %s F ", utc.tm_year + 1900, utc.tm_mon + 1,
                           utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, now.tv_nsec, stream);
  static char out[16384];
  size_t used = 0;
  while (size > 0) {
    const char *newline = memchr(data, '\n', size);
    size_t text = newline != NULL ? (size_t)(newline - data) : size;
    size_t room = sizeof out - (size_t)head_size - 1;
    bool whole = newline != NULL;
    if (text > room) {
      text = room;
      whole = false;
    }
    if (used + (size_t)head_size + text + 1 > sizeof out) {
      append(log, out, used);
      used = 0;
    }
    memcpy(out + used, head, (size_t)head_size);
    if (!whole) out[used + (size_t)head_size - 2] = 'P';
    used += (size_t)head_size;
    memcpy(out + used, data, text);
    used += text;
    out[used++] = '\n';
    size_t taken = text + (whole ? 1 : 0);
    data += taken;
    size -= taken;
  }
  append(log, out, used);
}
