// Decompresses Zstandard (RFC 8878), of any number of frames, with libzstd: layers in chunks have one for each file.
#define _GNU_SOURCE
#include "unpack.h"

#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

// A frame may look back as far as zstd(1) allows unasked.
enum { piece_bytes = 256 * 1024, window_log_max = 27, magic_bytes = 4 };

static ZSTD_DCtx *context;
static bool in_frame;
static uint8_t out[piece_bytes];

void zstd_start(void) {
  if (context == NULL) context = ZSTD_createDCtx();
  if (context == NULL) fail("system", "no memory to decompress in");
  ZSTD_DCtx_reset(context, ZSTD_reset_session_only);
  ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, window_log_max);
  in_frame = false;
}

// A frame, or one to skip that says nothing of the content.
static bool is_frame(const uint8_t *start) {
  return memcmp(start, "\x28\xb5\x2f\xfd", magic_bytes) == 0 || ((start[0] & 0xf0) == 0x50 && memcmp(start + 1, "\x2a\x4d\x18", 3) == 0);
}

static _Noreturn void refuse(size_t result) {
  switch (ZSTD_getErrorCode(result)) {
    case ZSTD_error_frameParameter_windowTooLarge:
      fail("bad", "takes more than %d MiB of memory to decompress", 1 << (window_log_max - 20));
    case ZSTD_error_dictionary_wrong:
      fail("bad", "is compressed with a dictionary, which did not come along");
    case ZSTD_error_memory_allocation:
      fail("system", "no memory to decompress in");
    case ZSTD_error_checksum_wrong:
      fail("bad", "is compressed wrongly: its checksum is another");
    default:
      fail("bad", "is compressed wrongly");
  }
}

// The library would also take frames of versions before the format was settled.
static bool begin_frame(void) {
  if (!input_fill(1)) return false;
  if (!input_fill(magic_bytes)) fail("bad", "ends in the middle of its compressed data");
  if (!is_frame(input.at)) fail("bad", "is compressed wrongly: no zstd frame");
  return true;
}

size_t zstd_piece(const uint8_t **piece) {
  ZSTD_outBuffer output = {out, sizeof out, 0};
  while (output.pos < output.size) {
    if (!in_frame && !begin_frame()) break;
    // What is held by the library alone may still come out when there is no more input.
    bool more = input_fill(1);
    ZSTD_inBuffer in = {input.at, (size_t)(input.end - input.at), 0};
    size_t before = output.pos;
    size_t result = ZSTD_decompressStream(context, &output, &in);
    input.at += in.pos;
    if (ZSTD_isError(result)) refuse(result);
    in_frame = result != 0;
    if (in_frame && !more && output.pos == before) fail("bad", "ends in the middle of its compressed data");
  }
  *piece = out;
  return output.pos;
}
