/* Throws changed archives at naru-unpack's decompressors, built with sanitizers. The files named are good ones; their bytes are changed,
   cut and put together anew. The same seed changes them alike. */
#define _GNU_SOURCE
#include "../../node-agent/images/unpack.h"
#include "fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { sample_bytes_max = 256 * 1024, samples_max = 32, out_bytes_max = 4 * 1024 * 1024 };

static struct {
  uint8_t bytes[sample_bytes_max];
  size_t size;
} samples[samples_max];
static long wholes;

static size_t change(uint8_t *bytes, size_t size, int count) {
  // Mostly near the beginning, where tables and sizes are.
  for (uint32_t flips = below(4); flips > 0; flips--) bytes[below(below(2) == 0 ? size : size / 16 + 32) % size] = (uint8_t)below(256);
  if (below(6) == 0) size = below(size) + 1;
  if (below(6) == 0) {
    size_t other = below((size_t)count), from = below(samples[other].size), to = below(size);
    size_t part = below(samples[other].size - from);
    if (part > sample_bytes_max - to) part = sample_bytes_max - to;
    memcpy(bytes + to, samples[other].bytes + from, part);
    if (to + part > size) size = to + part;
  }
  return size;
}

// Every byte of a piece is looked at, so that none lies where there is nothing.
static void decode(void) {
  static volatile uint8_t seen;
  if (setjmp(refused) != 0) return;
  const uint8_t *piece;
  for (size_t total = 0, size; total < out_bytes_max && (size = next_piece(&piece)) > 0; total += size)
    for (size_t i = 0; i < size; i++) seen ^= piece[i];
  wholes++;
}

int main(int argc, char **argv) {
  static uint8_t bytes[sample_bytes_max];
  long rounds = argc > 1 ? atol(argv[1]) : 0;
  state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  int count = 0;
  for (int i = 3; i < argc && count < samples_max; i++, count++) {
    int fd = open(argv[i], O_RDONLY);
    ssize_t got = read(fd, samples[count].bytes, sample_bytes_max);
    if (got <= 0) return 1;
    samples[count].size = (size_t)got;
    close(fd);
  }
  if (count == 0 || dup2(memfd_create("archive", 0), 0) != 0) return 1;
  for (long i = 0; i < rounds; i++) {
    size_t which = below((size_t)count);
    memcpy(bytes, samples[which].bytes, samples[which].size);
    // The good ones first.
    size_t size = i < count ? samples[which = (size_t)i].size : change(bytes, samples[which].size, count);
    if (i < count) memcpy(bytes, samples[which].bytes, size);
    if (ftruncate(0, 0) != 0 || pwrite(0, bytes, size, 0) != (ssize_t)size || lseek(0, 0, SEEK_SET) != 0) return 1;
    input_open(&(struct wanted_input){.hashed = below(2) == 0, .keep_fd = -1});
    decode();
  }
  printf("%ld rounds, taken %s, refused %s\n", rounds, wholes >= count ? "some" : "none", refusals > 0 ? "some" : "none");
  return 0;
}
