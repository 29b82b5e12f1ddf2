#!/bin/bash
# firmware/guests/kernels.c as a static Linux program and as bare-metal images (100, 10 and 1 percent of the work; once whole and
# once the integer programs alone, without a vector register), and the small KVM user, into $ARMATURE_GUESTS/img.
set -euo pipefail
GUESTS=${ARMATURE_GUESTS:-$HOME/.cache/armature-guests}
SOURCES=$(cd "$(dirname "$0")/../../firmware/guests" && pwd)
X=aarch64-linux-gnu-
mkdir -p "$GUESTS/img"
${X}gcc -O2 -static -ffp-contract=off -Wall -o "$GUESTS/img/kernels" "$SOURCES/kernels.c"
${X}gcc -O2 -static -o "$GUESTS/img/kvmmini" "$SOURCES/kvmmini.c"
bare() { # bare NAME FLAG...
  local name=$1
  shift
  ${X}gcc -O2 -DBARE "$@" -ffreestanding -nostdlib -static -fno-pic -fno-stack-protector -ffp-contract=off \
    -fno-tree-loop-distribute-patterns -Wall -Wl,--build-id=none,--no-warn-rwx-segments -T "$SOURCES/bare.lds" \
    -o "$GUESTS/img/$name.elf" "$SOURCES/kernels.c"
  ${X}objcopy -O binary "$GUESTS/img/$name.elf" "$GUESTS/img/$name.bin"
}
for scale in 100 10 1; do
  bare "kernels-bare-$scale" -DSCALE=$scale
  bare "kernels-integer-$scale" -DSCALE=$scale -DNO_FP -mgeneral-regs-only
done
