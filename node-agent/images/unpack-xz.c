// Decompresses .xz, of any number of streams, with liblzma.
#define _GNU_SOURCE
#include "unpack.h"

#include <lzma.h>

enum { piece_bytes = 256 * 1024, memory_bytes_max = 128 * 1024 * 1024 };

static lzma_stream stream = LZMA_STREAM_INIT;
static uint8_t out[piece_bytes];

void xz_start(void) {
  if (lzma_stream_decoder(&stream, memory_bytes_max, LZMA_CONCATENATED) != LZMA_OK) fail("system", "no memory to decompress in");
}

static _Noreturn void refuse(lzma_ret result) {
  switch (result) {
    case LZMA_BUF_ERROR:
      fail("bad", "ends in the middle of its compressed data");
    case LZMA_MEMLIMIT_ERROR:
      fail("bad", "takes more than %d MiB of memory to decompress", memory_bytes_max >> 20);
    case LZMA_MEM_ERROR:
      fail("system", "no memory to decompress in");
    case LZMA_OPTIONS_ERROR:
      fail("bad", "is compressed in a way that is not known");
    default:
      fail("bad", "is compressed wrongly");
  }
}

size_t xz_piece(const uint8_t **piece) {
  stream.next_out = out;
  stream.avail_out = sizeof out;
  lzma_ret result = LZMA_OK;
  while (result == LZMA_OK && stream.avail_out > 0) {
    bool more = input_fill(1);
    stream.next_in = input.at;
    stream.avail_in = (size_t)(input.end - input.at);
    result = lzma_code(&stream, more ? LZMA_RUN : LZMA_FINISH);
    input.at = input.end - stream.avail_in;
  }
  if (result != LZMA_OK && result != LZMA_STREAM_END) refuse(result);
  *piece = out;
  return sizeof out - stream.avail_out;
}
