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
  // Bits of the first byte that may be anything.
  uint8_t open_bits;
  void (*start)(void);
  size_t (*piece)(const uint8_t **piece);
} formats[] = {
    {"\x1f\x8b", 2, 0, gunzip_start, gunzip_piece},
    {"\x28\xb5\x2f\xfd", 4, 0, zstd_start, zstd_piece},
    // A frame to skip, perhaps with the name of who compressed, comes before the first.
    {"\x50\x2a\x4d\x18", 4, 0x0f, zstd_start, zstd_piece},
    {"\xfd" "7zXZ", 6, 0, xz_start, xz_piece},
    {"BZh", 3, 0, bunzip_start, bunzip_piece},
    // Whatever is none of them.
    {"", 0, 0, plain_start, plain_piece},
};

static bool fits(const struct format *known) {
  if (known->size == 0) return true;
  if (!input_fill(known->size)) return false;
  return (*input.at & (uint8_t)~known->open_bits) == (uint8_t)*known->magic && memcmp(input.at + 1, known->magic + 1, known->size - 1) == 0;
}

static const struct format *format;

void decode_start(void) { format = NULL; }

size_t next_piece(const uint8_t **piece) {
  if (format == NULL) {
    for (format = formats; !fits(format);) format++;
    format->start();
  }
  return format->piece(piece);
}
