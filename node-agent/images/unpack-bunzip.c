// Decompresses bzip2, of any number of streams, with libbz2.
#define _GNU_SOURCE
#include "unpack.h"

#include <bzlib.h>
#include <string.h>

enum { piece_bytes = 256 * 1024 };

static bz_stream stream;
static bool in_stream;
static char out[piece_bytes];

void bunzip_start(void) {
  BZ2_bzDecompressEnd(&stream);
  in_stream = false;
}

static void begin_stream(void) {
  BZ2_bzDecompressEnd(&stream);
  memset(&stream, 0, sizeof stream);
  if (BZ2_bzDecompressInit(&stream, 0, 0) != BZ_OK) fail("system", "no memory to decompress in");
  in_stream = true;
}

size_t bunzip_piece(const uint8_t **piece) {
  size_t left = sizeof out;
  while (left > 0) {
    bool more = input_fill(1);
    if (!more && in_stream) fail("bad", "ends in the middle of its compressed data");
    if (!more) break;
    if (!in_stream) begin_stream();
    // The library takes what it only reads as what it may write to.
    stream.next_in = (char *)(uintptr_t)input.at;
    stream.avail_in = (unsigned)(input.end - input.at);
    stream.next_out = out + sizeof out - left;
    stream.avail_out = (unsigned)left;
    int result = BZ2_bzDecompress(&stream);
    input.at = input.end - stream.avail_in;
    left = stream.avail_out;
    if (result == BZ_STREAM_END) in_stream = false;
    else if (result == BZ_MEM_ERROR) fail("system", "no memory to decompress in");
    else if (result != BZ_OK) fail("bad", "is compressed wrongly");
  }
  *piece = (const uint8_t *)out;
  return sizeof out - left;
}
