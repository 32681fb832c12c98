// The checksum of gzip and xz: CRC-32 of IEEE 802.3, by the processor's carry-less multiplication where it has it.
// Source: V. Gopal and others, "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel, 2009.
#define _GNU_SOURCE
#include "unpack.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

static uint32_t add_plain(uint32_t crc, const uint8_t *at, size_t size) {
  static uint32_t table[8][256];
  if (table[0][1] == 0) {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (0xedb88320 & -(value & 1));
      table[0][i] = value;
    }
    for (int k = 1; k < 8; k++)
      for (int i = 0; i < 256; i++) table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
  }
  for (; size >= 8; size -= 8, at += 8) {
    uint32_t low = crc ^ ((uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24);
    crc = table[7][low & 255] ^ table[6][low >> 8 & 255] ^ table[5][low >> 16 & 255] ^ table[4][low >> 24] ^ table[3][at[4]] ^
          table[2][at[5]] ^ table[1][at[6]] ^ table[0][at[7]];
  }
  for (; size > 0; size--) crc = crc >> 8 ^ table[0][(crc ^ *at++) & 255];
  return crc;
}

#if defined(__x86_64__)
static bool has_instructions(void) {
  static int known = -1;
  if (known < 0) {
    unsigned a, b, c, d;
    known = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_PCLMUL) != 0 && (c & bit_SSE4_1) != 0;
  }
  return known == 1;
}

__attribute__((target("pclmul,sse4.1"))) static __m128i fold(__m128i x, __m128i next, __m128i k) {
  return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00), _mm_clmulepi64_si128(x, k, 0x11)), next);
}

// 64 bytes or more, in whole blocks of 16.
__attribute__((target("pclmul,sse4.1"))) static uint32_t add_folded(uint32_t crc, const uint8_t *at, size_t size) {
  const __m128i k12 = _mm_set_epi64x(0x01c6e41596, 0x0154442bd4);
  const __m128i k34 = _mm_set_epi64x(0x00ccaa009e, 0x01751997d0);
  const __m128i *blocks = (const __m128i *)at;
  __m128i x[4];
  for (int i = 0; i < 4; i++) x[i] = _mm_loadu_si128(blocks + i);
  x[0] = _mm_xor_si128(x[0], _mm_cvtsi32_si128((int)crc));
  for (blocks += 4, size -= 64; size >= 64; blocks += 4, size -= 64)
    for (int i = 0; i < 4; i++) x[i] = fold(x[i], _mm_loadu_si128(blocks + i), k12);
  __m128i one = fold(fold(fold(x[0], x[1], k34), x[2], k34), x[3], k34);
  for (; size >= 16; blocks++, size -= 16) one = fold(one, _mm_loadu_si128(blocks), k34);
  // 128 bits to 64, to 32.
  const __m128i mask = _mm_set_epi32(0, 0, 0, -1);
  one = _mm_xor_si128(_mm_srli_si128(one, 8), _mm_clmulepi64_si128(one, k34, 0x10));
  const __m128i k5 = _mm_set_epi64x(0, 0x0163cd6124);
  one = _mm_xor_si128(_mm_srli_si128(one, 4), _mm_clmulepi64_si128(_mm_and_si128(one, mask), k5, 0x00));
  const __m128i poly = _mm_set_epi64x(0x01f7011641, 0x01db710641);
  __m128i t = _mm_clmulepi64_si128(_mm_and_si128(one, mask), poly, 0x10);
  t = _mm_clmulepi64_si128(_mm_and_si128(t, mask), poly, 0x00);
  return (uint32_t)_mm_extract_epi32(_mm_xor_si128(one, t), 1);
}
#endif

uint32_t crc32_add(uint32_t before, const uint8_t *at, size_t size) {
  uint32_t crc = ~before;
#if defined(__x86_64__)
  if (size >= 64 && has_instructions()) {
    size_t part = size & ~(size_t)15;
    crc = add_folded(crc, at, part);
    at += part;
    size -= part;
  }
#endif
  return ~add_plain(crc, at, size);
}
