// Decompresses LZMA2, what .xz files hold: chunks of at most 2 MiB, each with its own range coder. Source: the .xz file format
// specification 1.2 for the chunks; I. Pavlov's LZMA specification (lzma-specification.txt) for what is in them.
#define _GNU_SOURCE
#include "unpack.h"

#include <stdlib.h>
#include <string.h>

enum {
  chunk_bytes_max = 2 * 1024 * 1024,
  dictionary_bytes_max = 128 * 1024 * 1024,
  states = 12,
  first_match_state = 7,
  positions_max = 16,
  probability_bits = 11,
  probability_half = 1 << (probability_bits - 1),
  literal_probabilities = 0x300,
};

struct length_coder {
  uint16_t choice, choice2;
  uint16_t low[positions_max][8];
  uint16_t middle[positions_max][8];
  uint16_t high[256];
};

// Nothing but probabilities, so that all of them are set alike.
static struct {
  uint16_t is_match[states][positions_max];
  uint16_t is_repeat[states], is_repeat0[states], is_repeat1[states], is_repeat2[states];
  uint16_t is_repeat0_long[states][positions_max];
  uint16_t slots[4][64];
  uint16_t special[115];
  uint16_t align[16];
  struct length_coder match_length, repeat_length;
  uint16_t literals[16 * literal_probabilities];
} p;

static unsigned state, literal_context_bits, literal_position_mask, position_mask;
static uint32_t repeats[4];

// Output, and before it what matches may reach back to: twice the dictionary, so that its end moves to the front seldom.
static uint8_t *buffer;
static size_t room, dictionary_bytes;
static size_t at;
// Since the dictionary was emptied.
static uint64_t position;
static bool needs_dictionary, needs_properties, needs_state;

static uint32_t range, code;
static const uint8_t *packed, *packed_end;

static _Noreturn void fail_broken(const char *what) { fail("bad", "is compressed wrongly: %s", what); }

void lzma_start(uint8_t dictionary) {
  if (dictionary > 40) fail_broken("an unknown size of the dictionary");
  uint64_t wanted = dictionary == 40 ? UINT32_MAX : (uint64_t)(2 | (dictionary & 1)) << (dictionary / 2 + 11);
  if (wanted > dictionary_bytes_max) fail("bad", "needs more than %d MiB to be decompressed", dictionary_bytes_max >> 20);
  if (room < 2 * wanted + chunk_bytes_max) {
    free(buffer);
    room = 2 * (size_t)wanted + chunk_bytes_max;
    buffer = malloc(room);
    if (buffer == NULL) fail("system", "out of memory");
  }
  dictionary_bytes = (size_t)wanted;
  at = 0;
  position = 0;
  needs_dictionary = needs_properties = needs_state = true;
}

static void reset_state(void) {
  uint16_t *all = (uint16_t *)&p;
  for (size_t i = 0; i < sizeof p / sizeof *all; i++) all[i] = probability_half;
  state = 0;
  memset(repeats, 0, sizeof repeats);
}

static void read_properties(uint8_t byte) {
  if (byte >= 9 * 5 * 5) fail_broken("unknown properties");
  literal_context_bits = byte % 9;
  unsigned literal_position_bits = byte / 9 % 5;
  if (literal_context_bits + literal_position_bits > 4) fail_broken("unknown properties");
  literal_position_mask = (1u << literal_position_bits) - 1;
  position_mask = (1u << (byte / 45)) - 1;
}

static inline void normalize(void) {
  if (range >= 1u << 24) return;
  if (packed == packed_end) fail_broken("a chunk that is too short");
  range <<= 8;
  code = code << 8 | *packed++;
}

static inline unsigned take_bit(uint16_t *probability) {
  normalize();
  uint32_t bound = (range >> probability_bits) * *probability;
  if (code < bound) {
    range = bound;
    *probability = (uint16_t)(*probability + (((1 << probability_bits) - *probability) >> 5));
    return 0;
  }
  range -= bound;
  code -= bound;
  *probability = (uint16_t)(*probability - (*probability >> 5));
  return 1;
}

static uint32_t take_tree(uint16_t *probabilities, uint32_t limit) {
  uint32_t symbol = 1;
  while (symbol < limit) symbol = symbol << 1 | take_bit(&probabilities[symbol]);
  return symbol - limit;
}

// Lowest bit first.
static uint32_t take_reversed(uint16_t *probabilities, unsigned count) {
  uint32_t symbol = 1, value = 0;
  for (unsigned i = 0; i < count; i++) {
    uint32_t bit = take_bit(&probabilities[symbol]);
    symbol = symbol << 1 | bit;
    value |= bit << i;
  }
  return value;
}

static uint32_t take_even(unsigned count) {
  uint32_t value = 0;
  for (; count > 0; count--) {
    normalize();
    range >>= 1;
    uint32_t bit = code >= range;
    if (bit) code -= range;
    value = value << 1 | bit;
  }
  return value;
}

static uint32_t take_length(struct length_coder *coder, unsigned position_state) {
  if (!take_bit(&coder->choice)) return 2 + take_tree(coder->low[position_state], 8);
  if (!take_bit(&coder->choice2)) return 10 + take_tree(coder->middle[position_state], 8);
  return 18 + take_tree(coder->high, 256);
}

static uint32_t take_distance(uint32_t length) {
  uint32_t slot = take_tree(p.slots[length < 6 ? length - 2 : 3], 64);
  if (slot < 4) return slot;
  unsigned more = (slot >> 1) - 1;
  uint32_t base = (2 | (slot & 1)) << more;
  if (slot < 14) return base + take_reversed(p.special + (base - slot), more);
  base += take_even(more - 4) << 4;
  return base + take_reversed(p.align, 4);
}

static void put_literal(void) {
  unsigned before = position > 0 ? buffer[at - 1] : 0;
  unsigned context = ((unsigned)(position & literal_position_mask) << literal_context_bits) + (before >> (8 - literal_context_bits));
  uint16_t *probabilities = p.literals + context * literal_probabilities;
  unsigned symbol = 1;
  if (state >= first_match_state) {
    if (repeats[0] >= position) fail_broken("a repetition of what was never there");
    unsigned match = buffer[at - repeats[0] - 1];
    unsigned offset = 0x100;
    while (symbol < 0x100) {
      match <<= 1;
      unsigned bit = take_bit(&probabilities[offset + (match & offset) + symbol]);
      offset &= bit ? match : ~match;
      symbol = symbol << 1 | bit;
    }
  }
  while (symbol < 0x100) symbol = symbol << 1 | take_bit(&probabilities[symbol]);
  buffer[at++] = (uint8_t)symbol;
  position++;
  state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
}

// How long the repetition is; its distance is the first of `repeats` then.
static uint32_t take_match(unsigned position_state) {
  const bool after_match = state >= first_match_state;
  if (!take_bit(&p.is_repeat[state])) {
    memmove(repeats + 1, repeats, 3 * sizeof *repeats);
    state = after_match ? 10 : 7;
    uint32_t length = take_length(&p.match_length, position_state);
    repeats[0] = take_distance(length);
    return length;
  }
  if (!take_bit(&p.is_repeat0[state])) {
    if (!take_bit(&p.is_repeat0_long[state][position_state])) {
      state = after_match ? 11 : 9;
      return 1;
    }
  } else {
    size_t which = !take_bit(&p.is_repeat1[state]) ? 1 : !take_bit(&p.is_repeat2[state]) ? 2 : 3;
    uint32_t distance = repeats[which];
    memmove(repeats + 1, repeats, which * sizeof *repeats);
    repeats[0] = distance;
  }
  state = after_match ? 11 : 8;
  return take_length(&p.repeat_length, position_state);
}

static void put_match(uint32_t length, const size_t end) {
  size_t distance = (size_t)repeats[0] + 1;
  if (distance > position || distance > dictionary_bytes) fail_broken("a repetition of what was never there");
  if (length > end - at) fail_broken("a repetition beyond its chunk");
  position += length;
  for (; length > 0; length--, at++) buffer[at] = buffer[at - distance];
}

static void put_packed(size_t size, const uint8_t *data, size_t data_bytes) {
  if (data_bytes < 5 || data[0] != 0) fail_broken("a chunk without a beginning");
  packed = data + 5;
  packed_end = data + data_bytes;
  range = UINT32_MAX;
  code = (uint32_t)data[1] << 24 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 8 | data[4];
  for (const size_t end = at + size; at < end;) {
    unsigned position_state = (unsigned)(position & position_mask);
    if (!take_bit(&p.is_match[state][position_state])) put_literal();
    else put_match(take_match(position_state), end);
  }
  normalize();
  if (packed != packed_end || code != 0) fail_broken("a chunk that is too long");
}

static void make_room(size_t size) {
  if (room - at >= size) return;
  size_t kept = at < dictionary_bytes ? at : dictionary_bytes;
  memmove(buffer, buffer + at - kept, kept);
  at = kept;
}

static uint64_t used_bytes;

static const uint8_t *take(size_t size) {
  if (!input_fill(size)) fail("bad", "ends in the middle of its compressed data");
  const uint8_t *data = input.at;
  input.at += size;
  used_bytes += size;
  return data;
}

static uint8_t next_byte(void) { return *take(1); }

static size_t next_size(void) {
  size_t high = next_byte();
  return (high << 8 | next_byte()) + 1;
}

// Stored as it is.
static void put_plain(size_t size) {
  memcpy(buffer + at, take(size), size);
  at += size;
  position += size;
}

// 0x00 ends; 0x01 and 0x02 are stored; from 0x80 on two bits say what begins anew.
size_t lzma_piece(const uint8_t **piece, uint64_t *used) {
  used_bytes = 0;
  unsigned control = next_byte();
  *used = used_bytes;
  if (control == 0) return 0;
  if (control == 1 || control >= 0xe0) {
    position = 0;
    needs_dictionary = false;
  }
  if (needs_dictionary || (control > 2 && control < 0x80)) fail_broken("an unknown kind of chunk");
  make_room(chunk_bytes_max);
  const size_t start = at;
  if (control < 0x80) {
    put_plain(next_size());
  } else {
    size_t size = next_size() + ((size_t)(control & 0x1f) << 16);
    size_t data_bytes = next_size();
    if (control >= 0xc0) {
      read_properties(next_byte());
      needs_properties = false;
    }
    if (control >= 0xa0) needs_state = false;
    if (needs_properties || needs_state) fail_broken("a chunk without properties");
    if (control >= 0xa0) reset_state();
    put_packed(size, take(data_bytes), data_bytes);
  }
  *used = used_bytes;
  *piece = buffer + start;
  return at - start;
}
