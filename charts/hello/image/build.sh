#!/bin/sh
# Builds build/hello, one static program. Does nothing when it is newer than its sources.
set -eu
cd "$(dirname "$0")"
program=build/hello
if [ -x "$program" ] && [ -z "$(find hello.c build.sh -newer "$program")" ]; then
  exit 0
fi
compiler=${CC:-}
if [ -z "$compiler" ]; then
  if command -v musl-gcc >/dev/null; then compiler=musl-gcc; else compiler=gcc; fi
fi
mkdir -p build
started=$(date +%s.%N)
"$compiler" -std=c11 -Os -s -static -Wall -Wextra -Werror -o "$program.$$" hello.c
# Its age is the build's beginning: a source that changes meanwhile must count as newer.
touch -d "@$started" "$program.$$"
mv "$program.$$" "$program"
