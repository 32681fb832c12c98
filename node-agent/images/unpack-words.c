// What goes out, gathered so that a small result costs one write, and words that end with a zero byte coming in.
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { word_bytes_max = 2 * path_bytes_max };

int result_fd = 1;
static char gathered[65536];
static size_t gathered_bytes;
static bool in_line;

static void write_all(const char *data, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t wrote = write(result_fd, data + done, size - done);
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) _exit(1);
    done += (size_t)wrote;
  }
}

void flush_out(void) {
  write_all(gathered, gathered_bytes);
  gathered_bytes = 0;
}

void write_out(const void *data, size_t size) {
  if (size == 0) return;
  in_line = ((const char *)data)[size - 1] != '\n';
  if (size > sizeof gathered - gathered_bytes) flush_out();
  if (size > sizeof gathered) {
    write_all(data, size);
    return;
  }
  memcpy(gathered + gathered_bytes, data, size);
  gathered_bytes += size;
}

void say(const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  write_out(line, size < (int)sizeof line ? (size_t)size : sizeof line - 1);
}

void start_line(void) {
  if (in_line) write_out("\n", 1);
}

_Noreturn void fail(const char *kind, const char *format, ...) {
  char words[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(words, sizeof words, format, arguments);
  va_end(arguments);
  // Names come from strangers and end up on terminals.
  for (char *at = words; *at != 0; at++)
    if (*at < ' ' || *at > '~') *at = '?';
  start_line();
  if (strcmp(kind, "bad") == 0) tell_input();
  say("%s ", kind);
  say("%.500s", words);
  say("\n");
  flush_out();
  _exit(1);
}

_Noreturn void fail_errno(const char *action, const char *name) {
  int reason = errno;
  const char *kind = "bad";
  if (reason == EIO || reason == EROFS || reason == EMFILE || reason == ENFILE || reason == ENOMEM || root_fd < 0) kind = "system";
  if (reason == ENOSPC || reason == EDQUOT) kind = "nospace";
  fail(kind, "%s %.600s: %s", action, name, strerror(reason));
}

char *next_word(void) {
  static char buffer[256 * 1024];
  static size_t start, end;
  for (;;) {
    char *zero = memchr(buffer + start, 0, end - start);
    if (zero != NULL) {
      char *word = buffer + start;
      start = (size_t)(zero - buffer) + 1;
      return word;
    }
    if (end - start > word_bytes_max) fail("system", "was asked for a name longer than %d bytes", word_bytes_max);
    memmove(buffer, buffer + start, end - start);
    end -= start;
    start = 0;
    ssize_t got = read(0, buffer + end, sizeof buffer - end);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("read", "what to do");
    if (got == 0 && end > 0) fail("system", "was asked for half a name");
    if (got == 0) return NULL;
    end += (size_t)got;
  }
}
