// Decompresses gzip (RFC 1952) and what is in it (RFC 1951), of any number of members, in pieces. Tables that are looked up with several
// bits at once, and 8 bytes at a time copied: what decompressing costs decides how fast images come.
#define _GNU_SOURCE
#include "unpack.h"

#include <string.h>

enum {
  window_bytes = 32 * 1024,
  piece_bytes = 256 * 1024,
  match_bytes_max = 258,
  // What a symbol may write past a piece's end, and a copy in whole words past that.
  slack_bytes = match_bytes_max + 16,
  // What a step of the fast loop may read.
  fast_bytes = 16,
  length_bits = 11,
  distance_bits = 8,
  order_bits = 7,
  // The most that codes of 15 bits at most need with such tables.
  length_entries = 2400,
  distance_entries = 512,
  order_entries = 128,
  symbols_max = 288,
  code_bits_max = 15,
  end_of_block = 256,
};

// A table's entry: how many bits to take, how many more follow, what they are added to; and what else it may be.
enum { taken_mask = 31, extra_shift = 5, extra_mask = 15, is_literal = 1 << 9, is_special = 1 << 10, is_table = 1 << 11, is_end = 1 << 12, value_shift = 16 };

static uint8_t out[window_bytes + piece_bytes + slack_bytes];
// No match reaches below the first byte of its member.
static uint8_t *member_start;
static uint8_t *out_at;

// Bits that were taken from the input, the next one lowest. Those above `bit_count` are of the input's next bytes, or zero.
static uint64_t bits;
static unsigned bit_count;

static enum { at_member, at_block, in_stored, in_codes, at_finish } state;
static bool is_last_block, ended;
static size_t stored_bytes;
static uint32_t lengths_table[length_entries];
static uint32_t distances_table[distance_entries];
static uint32_t checksum;
static uint64_t member_bytes;

static _Noreturn void fail_broken(const char *what) { fail("bad", "is compressed wrongly: %s", what); }

static void refill(void) {
  while (bit_count <= 56 && (input.at < input.end || input_fill(1))) {
    bits |= (uint64_t)*input.at++ << bit_count;
    bit_count += 8;
  }
}

static uint32_t take(unsigned count) {
  if (bit_count < count) refill();
  if (bit_count < count) fail("bad", "ends in the middle of its compressed data");
  uint32_t value = (uint32_t)(bits & (((uint64_t)1 << count) - 1));
  bits >>= count;
  bit_count -= count;
  return value;
}

static void skip_text(void) {
  while (take(8) != 0) continue;
}

static void read_member(void) {
  if (take(16) != 0x8b1f) fail_broken("no gzip member");
  if (take(8) != 8) fail_broken("an unknown method");
  uint32_t flags = take(8);
  if ((flags & 0xe0) != 0) fail_broken("unknown flags");
  take(24), take(24);
  if ((flags & 4) != 0)
    for (uint32_t left = take(16); left > 0; left--) take(8);
  if ((flags & 8) != 0) skip_text();
  if ((flags & 16) != 0) skip_text();
  if ((flags & 2) != 0) take(16);
  member_start = out_at;
  checksum = 0;
  member_bytes = 0;
}

static uint32_t reverse(uint32_t code, unsigned size) {
  uint32_t turned = 0;
  for (unsigned i = 0; i < size; i++) turned = turned << 1 | (code >> i & 1);
  return turned;
}

struct table {
  uint32_t *entries;
  unsigned room;
  unsigned bits;
};

// A second table for codes that begin with the same bits, as large as they need.
static unsigned add_table(const struct table *table, unsigned used, const uint16_t *left, unsigned size, uint32_t prefix) {
  unsigned more = size - table->bits;
  for (int open = 1 << more; more + table->bits < code_bits_max; open <<= 1, more++) {
    open -= left[more + table->bits];
    if (open <= 0) break;
  }
  if (used + (1u << more) > table->room) fail_broken("codes that fit no table");
  for (unsigned i = 0; i < 1u << more; i++) table->entries[used + i] = is_special;
  table->entries[prefix] = used << value_shift | is_special | is_table | more << extra_shift | table->bits;
  return used + (1u << more);
}

// Canonical codes of the sizes in `sizes`; `results` is what an entry says but for the bits to take. Incomplete ones only where there is
// but one code, or none.
static void build_table(const struct table *table, const uint8_t *sizes, unsigned symbols, const uint32_t *results) {
  uint16_t left[code_bits_max + 1] = {0};
  for (unsigned i = 0; i < symbols; i++) left[sizes[i]]++;
  unsigned codes = symbols - left[0];
  left[0] = 0;
  int open = 1;
  uint32_t next[code_bits_max + 2] = {0};
  for (unsigned size = 1; size <= code_bits_max; size++) {
    open = open * 2 - left[size];
    if (open < 0) fail_broken("more codes than there are");
    next[size + 1] = (next[size] + left[size]) << 1;
  }
  if (open > 0 && codes > 1) fail_broken("codes that mean nothing");
  if (open > 0 && codes == 1 && left[1] != 1) fail_broken("codes that mean nothing");
  unsigned used = 1u << table->bits;
  for (unsigned i = 0; i < used; i++) table->entries[i] = is_special;
  // Shorter codes first: what is left of longer ones decides the size of second tables.
  for (unsigned size = 1; size <= code_bits_max; size++) {
    if (left[size] == 0) continue;
    for (unsigned i = 0; i < symbols; i++) {
      if (sizes[i] != size) continue;
      uint32_t code = reverse(next[size]++, size);
      if (size <= table->bits) {
        for (uint32_t at = code; at < 1u << table->bits; at += 1u << size) table->entries[at] = results[i] | size;
        continue;
      }
      uint32_t prefix = code & ((1u << table->bits) - 1);
      if ((table->entries[prefix] & is_table) == 0) used = add_table(table, used, left, size, prefix);
      uint32_t above = table->entries[prefix];
      unsigned more = above >> extra_shift & extra_mask;
      for (uint32_t at = code >> table->bits; at < 1u << more; at += 1u << (size - table->bits))
        table->entries[(above >> value_shift) + at] = results[i] | (size - table->bits);
      left[size]--;
    }
  }
}

static const struct table lengths = {lengths_table, length_entries, length_bits};
static const struct table distances = {distances_table, distance_entries, distance_bits};

// What each symbol means: literals, lengths and distances with the bits that follow (RFC 1951, section 3.2.5).
static const uint32_t *length_results(void) {
  static uint32_t results[symbols_max];
  if (results[0] != 0) return results;
  for (uint32_t i = 0; i < 256; i++) results[i] = i << value_shift | is_literal;
  results[end_of_block] = is_special | is_end;
  for (uint32_t i = 257, base = 3; i < symbols_max; i++) {
    uint32_t extra = i < 265 ? 0 : (i - 261) / 4;
    results[i] = i == 285 ? 258u << value_shift : base << value_shift | extra << extra_shift;
    if (i > 285) results[i] = is_special;
    base += 1u << extra;
  }
  return results;
}

static const uint32_t *distance_results(void) {
  static uint32_t results[32];
  if (results[0] != 0) return results;
  for (uint32_t i = 0, base = 1; i < 32; i++) {
    uint32_t extra = i < 4 ? 0 : i / 2 - 1;
    results[i] = i < 30 ? base << value_shift | extra << extra_shift : is_special;
    base += 1u << extra;
  }
  return results;
}

static void use_fixed_codes(void) {
  uint8_t sizes[symbols_max];
  for (unsigned i = 0; i < symbols_max; i++) sizes[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
  build_table(&lengths, sizes, symbols_max, length_results());
  memset(sizes, 5, 32);
  build_table(&distances, sizes, 32, distance_results());
}

static uint32_t take_symbol(const struct table *table) {
  refill();
  uint32_t entry = table->entries[bits & ((1u << table->bits) - 1)];
  if ((entry & is_table) != 0) {
    take(table->bits);
    if (bit_count < code_bits_max) refill();
    entry = table->entries[(entry >> value_shift) + (bits & ((1u << (entry >> extra_shift & extra_mask)) - 1))];
  }
  if ((entry & (is_special | is_end)) == is_special) fail_broken("a code that means nothing");
  take(entry & taken_mask);
  return entry;
}

static void read_codes(void) {
  static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
  static uint32_t order_table[order_entries];
  const struct table orders = {order_table, order_entries, order_bits};
  unsigned literals = take(5) + 257, far = take(5) + 1, given = take(4) + 4;
  if (literals > 286 || far > 30) fail_broken("too many codes");
  uint8_t sizes[19] = {0};
  for (unsigned i = 0; i < given; i++) sizes[order[i]] = (uint8_t)take(3);
  uint32_t numbers[19];
  for (uint32_t i = 0; i < 19; i++) numbers[i] = i << value_shift;
  build_table(&orders, sizes, 19, numbers);
  uint8_t all[286 + 30 + 138] = {0};
  for (unsigned at = 0; at < literals + far;) {
    uint32_t symbol = take_symbol(&orders) >> value_shift;
    if (symbol < 16) {
      all[at++] = (uint8_t)symbol;
      continue;
    }
    if (symbol == 16 && at == 0) fail_broken("a repetition of nothing");
    uint8_t repeated = symbol == 16 ? all[at - 1] : 0;
    unsigned times = symbol == 16 ? 3 + take(2) : symbol == 17 ? 3 + take(3) : 11 + take(7);
    if (at + times > literals + far) fail_broken("too many codes");
    memset(all + at, repeated, times);
    at += times;
  }
  if (all[end_of_block] == 0) fail_broken("a block without an end");
  build_table(&lengths, all, literals, length_results());
  build_table(&distances, all + literals, far, distance_results());
}

static void read_block(void) {
  is_last_block = take(1) == 1;
  switch (take(2)) {
    case 0: {
      take(bit_count % 8);
      uint32_t size = take(16);
      if (take(16) != (size ^ 0xffff)) fail_broken("a stored block that contradicts itself");
      stored_bytes = size;
      state = in_stored;
      return;
    }
    case 1: use_fixed_codes(); break;
    case 2: read_codes(); break;
    default: fail_broken("an unknown kind of block");
  }
  state = in_codes;
}

static void copy_stored(const uint8_t *limit) {
  for (; stored_bytes > 0 && bit_count >= 8 && out_at < limit; stored_bytes--) *out_at++ = (uint8_t)take(8);
  if (bit_count == 0) bits = 0;
  while (stored_bytes > 0 && out_at < limit) {
    if (!input_fill(1)) fail("bad", "ends in the middle of its compressed data");
    size_t part = (size_t)(input.end - input.at);
    if (part > stored_bytes) part = stored_bytes;
    if (part > (size_t)(limit - out_at)) part = (size_t)(limit - out_at);
    memcpy(out_at, input.at, part);
    input.at += part;
    out_at += part;
    stored_bytes -= part;
  }
  if (stored_bytes == 0) state = is_last_block ? at_finish : at_block;
}

// May write up to 7 bytes past the match's end.
static inline uint8_t *copy_match(uint8_t *to, size_t size, size_t distance) {
  const uint8_t *from = to - distance;
  uint8_t *end = to + size;
  if (distance >= 8) {
    do {
      memcpy(to, from, 8);
      to += 8;
      from += 8;
    } while (to < end);
  } else if (distance == 1) {
    memset(to, *from, size);
  } else {
    while (to < end) *to++ = *from++;
  }
  return end;
}

static inline uint64_t word_at(const uint8_t *at) {
  uint64_t word;
  memcpy(&word, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

// Leaves at the piece's end, near the input's end, or before a symbol that is no literal, length or distance.
static void inflate_fast(const uint8_t *limit) {
  const uint8_t *in = input.at;
  const uint8_t *in_limit = input.end - fast_bytes;
  const uint8_t *start = member_start;
  uint8_t *to = out_at;
  uint64_t held = bits;
  unsigned count = bit_count;
  while (to < limit && in <= in_limit) {
    // 56 bits or more: two literals of the first table and a length with its bits need 11 + 11 + 20.
    held |= word_at(in) << count;
    in += (63 - count) >> 3;
    count |= 56;
    uint32_t entry = lengths_table[held & ((1 << length_bits) - 1)];
    if ((entry & is_literal) != 0) {
      held >>= entry & taken_mask, count -= entry & taken_mask;
      *to++ = (uint8_t)(entry >> value_shift);
      entry = lengths_table[held & ((1 << length_bits) - 1)];
      if ((entry & is_literal) != 0) {
        held >>= entry & taken_mask, count -= entry & taken_mask;
        *to++ = (uint8_t)(entry >> value_shift);
        entry = lengths_table[held & ((1 << length_bits) - 1)];
        if ((entry & is_literal) != 0) {
          held >>= entry & taken_mask, count -= entry & taken_mask;
          *to++ = (uint8_t)(entry >> value_shift);
          continue;
        }
      }
    }
    const uint64_t held_before = held;
    const unsigned count_before = count;
    if ((entry & is_special) != 0) {
      if ((entry & is_table) == 0) break;
      held >>= length_bits, count -= length_bits;
      entry = lengths_table[(entry >> value_shift) + (held & ((1u << (entry >> extra_shift & extra_mask)) - 1))];
      if ((entry & is_special) != 0) {
        held = held_before, count = count_before;
        break;
      }
      if ((entry & is_literal) != 0) {
        held >>= entry & taken_mask, count -= entry & taken_mask;
        *to++ = (uint8_t)(entry >> value_shift);
        continue;
      }
    }
    unsigned extra = entry >> extra_shift & extra_mask;
    held >>= entry & taken_mask;
    size_t size = (entry >> value_shift) + (held & ((1u << extra) - 1));
    held >>= extra;
    count -= (entry & taken_mask) + extra;
    held |= word_at(in) << count;
    in += (63 - count) >> 3;
    count |= 56;
    entry = distances_table[held & ((1 << distance_bits) - 1)];
    if ((entry & is_table) != 0) {
      held >>= distance_bits, count -= distance_bits;
      entry = distances_table[(entry >> value_shift) + (held & ((1u << (entry >> extra_shift & extra_mask)) - 1))];
    }
    if ((entry & is_special) != 0) fail_broken("a code that means nothing");
    extra = entry >> extra_shift & extra_mask;
    held >>= entry & taken_mask;
    size_t distance = (entry >> value_shift) + (held & ((1u << extra) - 1));
    held >>= extra;
    count -= (entry & taken_mask) + extra;
    if (distance > (size_t)(to - start)) fail_broken("a repetition of what was never there");
    to = copy_match(to, size, distance);
  }
  input.at = in;
  out_at = to;
  bits = held;
  bit_count = count;
}

// The same, symbol by symbol, where there is little input left.
static void inflate_slowly(const uint8_t *limit) {
  while (out_at < limit && state == in_codes) {
    if (input.end - input.at >= fast_bytes + 8) inflate_fast(limit);
    if (out_at >= limit) return;
    uint32_t entry = take_symbol(&lengths);
    if ((entry & is_end) != 0) {
      state = is_last_block ? at_finish : at_block;
      return;
    }
    if ((entry & is_literal) != 0) {
      *out_at++ = (uint8_t)(entry >> value_shift);
      continue;
    }
    size_t size = (entry >> value_shift) + take(entry >> extra_shift & extra_mask);
    entry = take_symbol(&distances);
    size_t distance = (entry >> value_shift) + take(entry >> extra_shift & extra_mask);
    if (distance > (size_t)(out_at - member_start)) fail_broken("a repetition of what was never there");
    out_at = copy_match(out_at, size, distance);
  }
}

// True when another member follows.
static bool finish_member(void) {
  take(bit_count % 8);
  uint32_t sum = take(16);
  sum |= take(16) << 16;
  uint32_t size = take(16);
  size |= take(16) << 16;
  if (sum != checksum) fail_broken("its checksum is another");
  if (size != (uint32_t)member_bytes) fail_broken("its size is another");
  refill();
  // What else follows is ignored, as gzip(1) does it.
  return bit_count >= 16 && (bits & 0xffff) == 0x8b1f;
}

// The last bytes stay: matches reach back to them.
static uint8_t *begin_piece(void) {
  size_t kept = (size_t)(out_at - member_start) < window_bytes ? (size_t)(out_at - member_start) : window_bytes;
  memmove(out + window_bytes - kept, out_at - kept, kept);
  out_at = out + window_bytes;
  member_start = out_at - kept;
  return out_at;
}

void gunzip_start(void) {
  member_start = out_at = out + window_bytes;
  bits = 0;
  bit_count = 0;
  state = at_member;
  ended = false;
}

size_t gunzip_piece(const uint8_t **piece) {
  uint8_t *start = begin_piece();
  const uint8_t *limit = start + piece_bytes;
  for (uint8_t *summed = start; !ended && out_at < limit;) {
    switch (state) {
      case at_member: read_member(); state = at_block; break;
      case at_block: read_block(); break;
      case in_stored: copy_stored(limit); break;
      case in_codes: inflate_slowly(limit); break;
      case at_finish:
        ended = !finish_member();
        state = at_member;
        break;
    }
    checksum = crc32_add(checksum, summed, (size_t)(out_at - summed));
    member_bytes += (uint64_t)(out_at - summed);
    summed = out_at;
  }
  *piece = start;
  return (size_t)(out_at - start);
}
