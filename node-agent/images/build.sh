#!/bin/sh
# Builds build/naru-unpack, one static program. Does nothing when it is newer than its sources.
set -eu
cd "$(dirname "$0")"
program=build/naru-unpack
if [ -x "$program" ] && [ -z "$(find . -maxdepth 1 \( -name 'unpack*.[ch]' -o -name build.sh \) -newer "$program")" ]; then
  exit 0
fi
compiler=${CC:-}
if [ -z "$compiler" ]; then
  if command -v musl-gcc >/dev/null; then compiler=musl-gcc; else compiler=gcc; fi
fi
# musl has no kernel headers of its own: the system's come after everything else.
headers="-idirafter /usr/include -idirafter /usr/include/$(gcc -print-multiarch)"
mkdir -p build
started=$(date +%s.%N)
# shellcheck disable=SC2086
"$compiler" -std=c11 -O2 -static -Wall -Wextra -Werror -Wconversion -Wstrict-prototypes -Wpointer-arith \
  -Wformat=2 -Wundef -fstack-protector-strong -D_FORTIFY_SOURCE=2 $headers \
  -o "$program.$$" unpack*.c
# Its age is the build's beginning: a source that changes meanwhile must count as newer.
touch -d "@$started" "$program.$$"
mv "$program.$$" "$program"
