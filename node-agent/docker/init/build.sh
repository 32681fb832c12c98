#!/bin/sh
# Builds build/naru-init, one static program. Does nothing when it is newer than its source.
set -eu
cd "$(dirname "$0")"
program=build/naru-init
if [ -x "$program" ] && [ -z "$(find init.c build.sh -newer "$program")" ]; then
  exit 0
fi
if command -v musl-gcc >/dev/null; then compiler=musl-gcc; else compiler=gcc; fi
mkdir -p build
"$compiler" -std=gnu11 -O2 -static -Wall -Wextra -Werror -fstack-protector-strong -o "$program.$$" init.c
mv "$program.$$" "$program"
