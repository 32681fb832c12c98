#!/bin/sh
# Builds build/naru-launcher when a source is newer: static, with musl where it is installed, else with gcc and glibc.
set -eu
cd "$(dirname "$0")"
out=build/naru-launcher
if [ -x "$out" ] && [ -z "$(find . -maxdepth 1 \( -name '*.c' -o -name '*.h' -o -name '*.def' -o -name build.sh \) -newer "$out")" ]; then
  exit 0
fi
mkdir -p build
headers="-idirafter /usr/include -idirafter /usr/include/$(gcc -print-multiarch 2>/dev/null || uname -m)"
if command -v musl-gcc >/dev/null 2>&1; then compiler="musl-gcc $headers"; else compiler="gcc"; fi
new="build/new.$$"
started=$(date +%s.%N)
trap 'rm -f "$new"' EXIT
# shellcheck disable=SC2086
$compiler -std=gnu11 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -static -no-pie -ffunction-sections -Wl,--gc-sections \
  -Wl,-z,noexecstack -fstack-protector-strong -o "$new" ./*.c
# Its age is the build's beginning: a source that changes meanwhile must count as newer.
touch -d "@$started" "$new"
mv -f "$new" "$out"
