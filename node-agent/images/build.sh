#!/bin/sh
# Builds build/naru-unpack, one static program. Does nothing when it is newer than its sources.
# For tests: `build.sh sanitized` builds build/naru-unpack-sanitized with gcc's address and undefined behaviour sanitizers.
set -eu
cd "$(dirname "$0")"
variant=${1:-plain}
case $variant in
  plain) program=build/naru-unpack ;;
  sanitized) program=build/naru-unpack-sanitized ;;
  *) echo "build.sh: unknown variant $variant; there are plain, sanitized" >&2; exit 2 ;;
esac
if [ -x "$program" ] && [ -z "$(find . -maxdepth 1 \( -name 'unpack*.[ch]' -o -name build.sh \) -newer "$program")" ]; then
  exit 0
fi
# glibc, not musl: libzstd, liblzma and libbz2 of the system are made for it.
compiler=${CC:-gcc}
flags="-O2 -static -fstack-protector-strong -D_FORTIFY_SOURCE=2"
if [ "$variant" = sanitized ]; then
  compiler=gcc
  flags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
fi
mkdir -p build
started=$(date +%s.%N)
# shellcheck disable=SC2086
"$compiler" -std=c11 -Wall -Wextra -Werror -Wconversion -Wstrict-prototypes -Wpointer-arith -Wformat=2 -Wundef $flags \
  -o "$program.$$" unpack*.c -lzstd -llzma -lbz2
# Its age is the build's beginning: a source that changes meanwhile must count as newer.
touch -d "@$started" "$program.$$"
mv "$program.$$" "$program"
