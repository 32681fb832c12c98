/* What the drivers of naru-unpack's fuzzers share: chance by a seed, and a refusal that goes on with the next round. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

static uint64_t state;
static jmp_buf refused;
static long refusals;
int root_fd = -1;

static uint32_t below(size_t limit) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return limit == 0 ? 0 : (uint32_t)((state >> 33) % limit);
}

_Noreturn void fail(const char *kind, const char *format, ...) {
  char words[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(words, sizeof words, format, arguments);
  va_end(arguments);
  (void)kind;
  refusals++;
  longjmp(refused, 1);
}

_Noreturn void fail_errno(const char *action, const char *name) { fail("bad", "%s %s", action, name); }

void say(const char *format, ...) { (void)format; }
