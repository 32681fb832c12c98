// Which way what comes in is compressed: told by its first bytes, as Docker does it, since names and media types lie now and then.
#define _GNU_SOURCE
#include "unpack.h"

#include <string.h>

static size_t plain_piece(const uint8_t **piece) {
  if (!input_fill(1)) return 0;
  size_t size = (size_t)(input.end - input.at);
  *piece = input.at;
  input.at = input.end;
  return size;
}

static void plain_start(void) {}

static const struct format {
  const char *magic;
  size_t size;
  void (*start)(void);
  size_t (*piece)(const uint8_t **piece);
} formats[] = {
    {"\x1f\x8b", 2, gunzip_start, gunzip_piece},
    {"\xfd" "7zXZ", 6, xz_start, xz_piece},
    {"BZh", 3, bunzip_start, bunzip_piece},
    // Whatever is none of them.
    {"", 0, plain_start, plain_piece},
};

static const struct format *format;

void decode_start(void) { format = NULL; }

size_t next_piece(const uint8_t **piece) {
  if (format == NULL) {
    for (format = formats; !input_fill(format->size) || memcmp(input.at, format->magic, format->size) != 0;) format++;
    format->start();
  }
  return format->piece(piece);
}
