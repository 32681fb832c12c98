// Reads .xz: streams of blocks of LZMA2, each with a checksum, and an index behind them. Other filters are refused.
// Source: the .xz file format specification 1.2.
#define _GNU_SOURCE
#include "unpack.h"

#include <string.h>

enum { header_bytes_max = 1024, lzma2_filter = 0x21 };

static enum { at_stream, at_block, in_block, at_finish } state;
static uint8_t check_kind;
static uint8_t stream_flags[2];
static uint64_t blocks;
// Of the block: where it began, and what it has made.
static uint64_t block_start;
static uint64_t taken_bytes;
static uint32_t crc32;
static uint64_t crc64;
static struct sha256 sha256;

static _Noreturn void fail_broken(const char *what) { fail("bad", "is compressed wrongly: %s", what); }

static const uint8_t *take(size_t size) {
  if (!input_fill(size)) fail("bad", "ends in the middle of its compressed data");
  const uint8_t *data = input.at;
  input.at += size;
  taken_bytes += size;
  return data;
}

static uint64_t little(const uint8_t *data, size_t size) {
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | data[i];
  return value;
}

// Seven bits a byte, lowest first.
static uint64_t number(const uint8_t **from, const uint8_t *end) {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 63; shift += 7) {
    if (*from == end) break;
    uint8_t byte = *(*from)++;
    value |= (uint64_t)(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  fail_broken("a number that does not end");
}

static void read_stream(void) {
  uint8_t header[12];
  memcpy(header, take(sizeof header), sizeof header);
  if (memcmp(header, "\xfd" "7zXZ", 6) != 0) fail_broken("no stream");
  if (crc32_add(0, header + 6, 2) != little(header + 8, 4)) fail_broken("its header's checksum is another");
  memcpy(stream_flags, header + 6, 2);
  check_kind = header[7];
  if (header[6] != 0 || check_kind > 15) fail_broken("an unknown kind of checksum");
  blocks = 0;
}

static void read_block(uint8_t size_byte) {
  size_t size = ((size_t)size_byte + 1) * 4;
  uint8_t header[header_bytes_max];
  header[0] = size_byte;
  memcpy(header + 1, take(size - 1), size - 1);
  const uint8_t *end = header + size - 4;
  if (crc32_add(0, header, size - 4) != little(end, 4)) fail_broken("a block's header's checksum is another");
  uint8_t flags = header[1];
  if ((flags & 0x3c) != 0) fail_broken("unknown flags");
  const uint8_t *from = header + 2;
  if ((flags & 0x40) != 0) number(&from, end);
  if ((flags & 0x80) != 0) number(&from, end);
  if ((flags & 3) != 0 || number(&from, end) != lzma2_filter) fail("bad", "is compressed with a filter of xz that Naru does not know");
  if (number(&from, end) != 1 || from == end) fail_broken("a filter without properties");
  lzma_start(*from);
  crc32 = 0;
  crc64 = 0;
  sha256_start(&sha256);
  blocks++;
}

static uint64_t crc64_add(uint64_t before, const uint8_t *at, size_t size) {
  static uint64_t table[256];
  if (table[1] == 0)
    for (uint64_t i = 0; i < 256; i++) {
      uint64_t value = i;
      for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (UINT64_C(0xc96c5795d7870f42) & -(value & 1));
      table[i] = value;
    }
  uint64_t crc = ~before;
  for (; size > 0; size--) crc = crc >> 8 ^ table[(crc ^ *at++) & 255];
  return ~crc;
}

static void check_piece(const uint8_t *data, size_t size) {
  if (check_kind == 1) crc32 = crc32_add(crc32, data, size);
  if (check_kind == 4) crc64 = crc64_add(crc64, data, size);
  if (check_kind == 10) sha256_add(&sha256, data, size);
}

static void take_padding(uint64_t since) {
  while ((taken_bytes - since) % 4 != 0)
    if (*take(1) != 0) fail_broken("padding that is not zero");
}

static void finish_block(void) {
  static const uint8_t sizes[16] = {0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64};
  take_padding(block_start);
  const uint8_t *given = take(sizes[check_kind]);
  char hex[65], given_hex[65];
  sha256_end(&sha256, hex);
  for (size_t i = 0; check_kind == 10 && i < 32; i++) {
    given_hex[2 * i] = "0123456789abcdef"[given[i] >> 4];
    given_hex[2 * i + 1] = "0123456789abcdef"[given[i] & 15];
  }
  bool wrong = (check_kind == 1 && crc32 != little(given, 4)) || (check_kind == 4 && crc64 != little(given, 8)) ||
               (check_kind == 10 && memcmp(hex, given_hex, 64) != 0);
  if (wrong) fail_broken("its checksum is another");
}

static uint32_t index_crc;

static uint8_t index_byte(void) {
  uint8_t byte = *take(1);
  index_crc = crc32_add(index_crc, &byte, 1);
  return byte;
}

static uint64_t index_number(void) {
  uint8_t bytes[9];
  size_t size = 0;
  do bytes[size] = index_byte();
  while ((bytes[size++] & 0x80) != 0 && size < sizeof bytes);
  const uint8_t *from = bytes;
  return number(&from, bytes + size);
}

// Behind the zero that takes a block's place.
static void read_index(void) {
  uint64_t start = taken_bytes - 1;
  index_crc = crc32_add(0, (const uint8_t[]){0}, 1);
  if (index_number() != blocks) fail_broken("an index of other blocks");
  for (uint64_t i = 0; i < blocks; i++) index_number(), index_number();
  while ((taken_bytes - start) % 4 != 0)
    if (index_byte() != 0) fail_broken("padding that is not zero");
  if (index_crc != little(take(4), 4)) fail_broken("its index' checksum is another");
  const uint64_t index_bytes = taken_bytes - start;
  const uint8_t *footer = take(12);
  bool right = little(footer, 4) == crc32_add(0, footer + 4, 6) && (little(footer + 4, 4) + 1) * 4 == index_bytes &&
               memcmp(footer + 8, stream_flags, 2) == 0 && memcmp(footer + 10, "YZ", 2) == 0;
  if (!right) fail_broken("an end that is none");
}

// True when another stream follows, perhaps after zeros.
static bool find_stream(void) {
  while (input_fill(4) && memcmp(input.at, "\0\0\0\0", 4) == 0) take(4);
  if (!input_fill(1)) return false;
  return true;
}

void xz_start(void) {
  state = at_stream;
  taken_bytes = 0;
}

size_t xz_piece(const uint8_t **piece) {
  for (;;) {
    switch (state) {
      case at_stream:
        read_stream();
        state = at_block;
        break;
      case at_block: {
        block_start = taken_bytes;
        uint8_t size = *take(1);
        if (size == 0) {
          read_index();
          state = find_stream() ? at_stream : at_finish;
          break;
        }
        read_block(size);
        state = in_block;
        break;
      }
      case in_block: {
        uint64_t used;
        size_t got = lzma_piece(piece, &used);
        taken_bytes += used;
        if (got > 0) {
          check_piece(*piece, got);
          return got;
        }
        finish_block();
        state = at_block;
        break;
      }
      case at_finish: return 0;
    }
  }
}
