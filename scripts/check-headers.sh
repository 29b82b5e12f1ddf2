#!/usr/bin/env bash
# Compiles the C headers of all parts, each with the file that checks its every offset, mask and size, as C and as C++.
# Needs a C compiler: CC (cc), and where they are installed CXX (c++) and aarch64-linux-gnu-gcc.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/node_modules/.bin:$PATH"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
node scripts/headers.ts "$out"
count=0
compile() {
  command -v "$1" >/dev/null || return 0
  for file in "$out"/*-test.c; do
    "$@" -Wall -Wextra -Wpedantic -Werror -c -o "$out/object.o" "$file"
    count=$((count + 1))
  done
}
compile "${CC:-cc}" -std=c11
compile aarch64-linux-gnu-gcc -std=c11 -ffreestanding
compile "${CXX:-c++}" -x c++ -std=c++14
if [ "$count" = 0 ]; then
  echo "check-headers: no C compiler found (CC, cc)" >&2
  exit 2
fi
echo "check-headers: $count compilations passed"
