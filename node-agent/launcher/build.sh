#!/bin/sh
# Builds build/naru-launcher when a source is newer: static, with musl where it is installed, else with gcc and glibc.
# For tests: `build.sh sanitized` builds build/naru-launcher-sanitized with gcc's address and undefined behaviour sanitizers,
# `build.sh crashing` one that can be told to crash at any step (crash.c).
set -eu
cd "$(dirname "$0")"
variant=${1:-plain}
case $variant in
  plain) out=build/naru-launcher ;;
  sanitized | crashing) out=build/naru-launcher-$variant ;;
  *) echo "build.sh: unknown variant $variant; there are plain, sanitized, crashing" >&2; exit 2 ;;
esac
if [ -x "$out" ] && [ -z "$(find . -maxdepth 1 \( -name '*.c' -o -name '*.h' -o -name '*.def' -o -name build.sh \) -newer "$out")" ]; then
  exit 0
fi
mkdir -p build
headers="-idirafter /usr/include -idirafter /usr/include/$(gcc -print-multiarch 2>/dev/null || uname -m)"
if command -v musl-gcc >/dev/null 2>&1; then compiler="musl-gcc $headers"; else compiler="gcc"; fi
flags="-O2 -static -no-pie -ffunction-sections -Wl,--gc-sections -Wl,-z,noexecstack -fstack-protector-strong"
if [ "$variant" = sanitized ]; then
  compiler=gcc
  flags="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
fi
[ "$variant" = crashing ] && flags="$flags -DCRASH_POINTS"
warnings="-Wall -Wextra -Werror -Wconversion -Wshadow -Wstrict-prototypes -Wpointer-arith -Wformat=2 -Wundef"
new="build/new.$$"
started=$(date +%s.%N)
trap 'rm -f "$new"' EXIT
# shellcheck disable=SC2086
$compiler -std=gnu11 $warnings -D_GNU_SOURCE $flags -o "$new" ./*.c
# Its age is the build's beginning: a source that changes meanwhile must count as newer.
touch -d "@$started" "$new"
mv -f "$new" "$out"
