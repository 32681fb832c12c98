// Decompresses bzip2, of any number of streams. A block of up to 900,000 bytes is Huffman codes of positions in a list of bytes that moves
// what it names to its front; what they name, sorted as Burrows and Wheeler have it, is put in order again; runs of equal bytes are told
// by their length. Source: J. Tsai, "BZIP2: Format Specification", 2016.
#define _GNU_SOURCE
#include "unpack.h"

#include <string.h>

enum {
  block_bytes_max = 900 * 1000,
  piece_bytes = 256 * 1024,
  run_bytes_max = 255 + 4,
  groups_max = 6,
  selectors_max = 18002,
  symbols_max = 258,
  code_bits_max = 20,
  group_symbols = 50,
  run_a = 0,
  run_b = 1,
};

static enum { at_stream, at_block, in_block, at_finish } state;
static uint64_t bits;
static unsigned bit_count;
static size_t block_bytes;
static uint32_t stream_sum, block_sum, wanted_sum;
// The lowest 8 bits are a byte of the last column; those above lead to the next one.
static uint32_t column[block_bytes_max];
static uint32_t cursor;
static size_t left;
// Of the bytes that came last: which, and how many alike.
static int last;
static unsigned alike;
static uint8_t out[piece_bytes + run_bytes_max];

static _Noreturn void fail_broken(const char *what) { fail("bad", "is compressed wrongly: %s", what); }

static uint32_t take(unsigned count) {
  while (bit_count < count) {
    if (!input_fill(1)) fail("bad", "ends in the middle of its compressed data");
    bits = bits << 8 | *input.at++;
    bit_count += 8;
  }
  bit_count -= count;
  return (uint32_t)(bits >> bit_count & ((UINT64_C(1) << count) - 1));
}

// Highest bit first, unlike gzip's.
static uint32_t sum_add(uint32_t sum, const uint8_t *at, size_t size) {
  static uint32_t table[256];
  if (table[1] == 0)
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i << 24;
      for (int bit = 0; bit < 8; bit++) value = value << 1 ^ (0x04c11db7 & -(value >> 31));
      table[i] = value;
    }
  for (; size > 0; size--) sum = sum << 8 ^ table[sum >> 24 ^ *at++];
  return sum;
}

struct group {
  // Of each size of code: the first one above them, turned to the left, and what is added to a code for its place in `symbols`.
  int32_t limit[code_bits_max + 1];
  int32_t base[code_bits_max + 1];
  uint16_t symbols[symbols_max];
  unsigned least;
  int32_t count;
};

static void build_group(struct group *group, const uint8_t *sizes, unsigned symbols) {
  int32_t counts[code_bits_max + 1] = {0};
  int32_t placed = 0;
  group->least = 0;
  for (unsigned size = 1; size <= code_bits_max; size++)
    for (unsigned i = 0; i < symbols; i++) {
      if (sizes[i] != size) continue;
      if (group->least == 0) group->least = size;
      group->symbols[placed++] = (uint16_t)i;
      counts[size]++;
    }
  group->count = placed;
  int32_t code = 0, before = 0;
  for (unsigned size = 1; size <= code_bits_max; size++) {
    code <<= 1;
    group->base[size] = before - code;
    code += counts[size];
    if (code > (int32_t)1 << size) fail_broken("more codes than there are");
    group->limit[size] = code;
    before += counts[size];
  }
}

static unsigned take_symbol(const struct group *group) {
  unsigned size = group->least;
  int32_t code = (int32_t)take(size);
  while (code >= group->limit[size]) {
    if (++size > code_bits_max) fail_broken("a code that means nothing");
    code = code << 1 | (int32_t)take(1);
  }
  int32_t place = code + group->base[size];
  if (place < 0 || place >= group->count) fail_broken("a code that means nothing");
  return group->symbols[place];
}

static unsigned read_used(uint8_t *used) {
  unsigned count = 0;
  uint32_t sixteens = take(16);
  for (unsigned i = 0; i < 16; i++) {
    if ((sixteens >> (15 - i) & 1) == 0) continue;
    uint32_t ones = take(16);
    for (unsigned j = 0; j < 16; j++)
      if ((ones >> (15 - j) & 1) != 0) used[count++] = (uint8_t)(i * 16 + j);
  }
  if (count == 0) fail_broken("a block of no bytes");
  return count;
}

static unsigned read_selectors(uint8_t *selectors, unsigned groups) {
  unsigned count = take(15);
  if (count == 0) fail_broken("a block without codes");
  uint8_t order[groups_max] = {0, 1, 2, 3, 4, 5};
  for (unsigned i = 0; i < count; i++) {
    unsigned place = 0;
    while (take(1) == 1)
      if (++place == groups) fail_broken("a group that is none");
    uint8_t group = order[place];
    memmove(order + 1, order, place);
    order[0] = group;
    // More than a block can need are never used.
    if (i < selectors_max) selectors[i] = group;
  }
  return count < selectors_max ? count : selectors_max;
}

static void read_group(struct group *group, unsigned symbols) {
  uint8_t sizes[symbols_max];
  unsigned size = take(5);
  for (unsigned i = 0; i < symbols; i++) {
    for (;;) {
      if (size < 1 || size > code_bits_max) fail_broken("a code that is too long");
      if (take(1) == 0) break;
      size = take(1) == 0 ? size + 1 : size - 1;
    }
    sizes[i] = (uint8_t)size;
  }
  build_group(group, sizes, symbols);
}

// The last column of the sorted block, and how often each byte comes.
static size_t read_column(uint32_t *counts) {
  static struct group groups[groups_max];
  static uint8_t selectors[selectors_max];
  uint8_t list[256];
  const unsigned used = read_used(list), symbols = used + 2, end = used + 1;
  const unsigned group_count = take(3);
  if (group_count < 2 || group_count > groups_max) fail_broken("too many groups of codes, or too few");
  const unsigned selector_count = read_selectors(selectors, group_count);
  for (unsigned i = 0; i < group_count; i++) read_group(&groups[i], symbols);
  size_t size = 0;
  uint64_t run = 0, weight = 1;
  for (unsigned taken = 0;; taken++) {
    if (taken / group_symbols == selector_count) fail_broken("more codes than it said");
    unsigned symbol = take_symbol(&groups[selectors[taken / group_symbols]]);
    if (symbol <= run_b) {
      if (weight > block_bytes) fail_broken("a block that is too long");
      run += weight << symbol;
      weight <<= 1;
      continue;
    }
    if (run > block_bytes - size) fail_broken("a block that is too long");
    counts[list[0]] += (uint32_t)run;
    for (; run > 0; run--) column[size++] = list[0];
    weight = 1;
    if (symbol == end) return size;
    if (size == block_bytes) fail_broken("a block that is too long");
    uint8_t byte = list[symbol - 1];
    memmove(list + 1, list, symbol - 1);
    list[0] = byte;
    column[size++] = byte;
    counts[byte]++;
  }
}

static void read_block(void) {
  wanted_sum = take(16) << 16;
  wanted_sum |= take(16);
  if (take(1) != 0) fail("bad", "is of an old bzip2 whose blocks Naru does not unpack");
  uint32_t origin = take(24);
  uint32_t counts[256] = {0};
  left = read_column(counts);
  if (origin >= left) fail_broken("a block that begins outside of itself");
  uint32_t before = 0;
  for (unsigned i = 0; i < 256; i++) {
    uint32_t count = counts[i];
    counts[i] = before;
    before += count;
  }
  for (uint32_t i = 0; i < left; i++) {
    uint8_t byte = (uint8_t)column[i];
    column[counts[byte]++] |= i << 8;
  }
  cursor = column[origin] >> 8;
  last = -1;
  alike = 0;
  block_sum = UINT32_MAX;
}

// Four equal bytes are followed by how many more there are.
static size_t put_bytes(void) {
  size_t size = 0;
  for (; left > 0 && size < piece_bytes; left--) {
    uint32_t entry = column[cursor];
    uint8_t byte = (uint8_t)entry;
    cursor = entry >> 8;
    if (alike == 4) {
      memset(out + size, last, byte);
      size += byte;
      alike = 0;
      last = -1;
      continue;
    }
    alike = byte == last ? alike + 1 : 1;
    last = byte;
    out[size++] = byte;
  }
  block_sum = sum_add(block_sum, out, size);
  return size;
}

static void finish_block(void) {
  if (~block_sum != wanted_sum) fail_broken("its checksum is another");
  stream_sum = (stream_sum << 1 | stream_sum >> 31) ^ wanted_sum;
}

static void read_stream(void) {
  if (take(24) != 0x425a68) fail_broken("no stream");
  uint32_t level = take(8) - '0';
  if (level < 1 || level > 9) fail_broken("an unknown size of blocks");
  block_bytes = level * 100 * 1000;
  stream_sum = 0;
}

// True when another stream follows; what else does is ignored, as bzip2(1) does it.
static bool finish_stream(void) {
  uint32_t sum = take(16) << 16;
  sum |= take(16);
  if (sum != stream_sum) fail_broken("its checksum is another");
  take(bit_count % 8);
  return input_fill(3) && memcmp(input.at, "BZh", 3) == 0;
}

void bunzip_start(void) {
  state = at_stream;
  bit_count = 0;
}

size_t bunzip_piece(const uint8_t **piece) {
  *piece = out;
  for (;;) {
    switch (state) {
      case at_stream:
        read_stream();
        state = at_block;
        break;
      case at_block: {
        uint64_t mark = (uint64_t)take(24) << 24;
        mark |= take(24);
        if (mark == 0x314159265359) {
          read_block();
          state = in_block;
        } else if (mark == 0x177245385090) {
          state = finish_stream() ? at_stream : at_finish;
        } else {
          fail_broken("no block");
        }
        break;
      }
      case in_block: {
        size_t size = put_bytes();
        if (left == 0) {
          finish_block();
          state = at_block;
        }
        if (size > 0) return size;
        break;
      }
      case at_finish: return 0;
    }
  }
}
