#!/bin/bash
# npm run guests: fetches Debian's unmodified guest software (kernel, U-Boot, busybox, ...) and the tools that the suite of real
# software uses (QEMU as the reference, cross compiler, gdb, dtc, ...) by apt-get, and builds the test programs.
# Everything that is not a tool lands in $ARMATURE_GUESTS (default ~/.cache/armature-guests). Re-runnable; nothing is done twice.
#   scripts/guests.sh           fetch and build what is missing
#   scripts/guests.sh --check   only say what is there: exit 0 when all is, 2 when not
#   scripts/guests.sh --force   fetch and build all of it again
# Exit code 2: this system cannot do it; the message says what is needed and where your own images go.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
export ARMATURE_GUESTS=${ARMATURE_GUESTS:-$HOME/.cache/armature-guests}
IMG=$ARMATURE_GUESTS/img
MODE=${1:-}

IMAGES=(vmlinuz u-boot.bin initrd-min.cpio.gz initrd-full.cpio.gz kernels kvmmini rootfs.img)
for name in kernels-bare kernels-integer; do
  for scale in 100 10 1; do IMAGES+=("$name-$scale.bin" "$name-$scale.elf"); done
done
TOOLS=(qemu-system-aarch64 qemu-aarch64 aarch64-linux-gnu-gcc gdb-multiarch dtc tshark g++ make cpio mke2fs chromium curl iperf3 ip)
# What the images are made from: when it changes, they are made again.
SOURCES=("$HERE/guests.sh" "$HERE"/guests/*.sh "$HERE"/../firmware/guests/*.c "$HERE"/../firmware/guests/*.lds "$HERE"/../firmware/guests/initramfs/*)
STAMP=$ARMATURE_GUESTS/made-from
MADE_FROM=$(cat "${SOURCES[@]}" | sha256sum | cut -d' ' -f1)

missing() {
  local item
  for item in "${IMAGES[@]}"; do [ -s "$IMG/$item" ] || echo "image $IMG/$item"; done
  for item in "${TOOLS[@]}"; do command -v "$item" > /dev/null || echo "tool  $item"; done
}

needs() {
  cat <<TEXT
npm run guests fetches Debian's packages with apt-get, which needs Debian 12 or later and root. $1

On other systems, put your own images here (ARMATURE_GUESTS names another folder):
  $IMG/vmlinuz             an arm64 Linux kernel Image with EFI stub (Debian: linux-image-arm64)
  $IMG/u-boot.bin          U-Boot for QEMU arm64, qemu_arm64_defconfig (Debian: u-boot-qemu)
  $IMG/initrd-min.cpio.gz  an initramfs with busybox and firmware/guests/initramfs/init as /init
  $IMG/rootfs.img          ext4 with a Debian root file system: perl, python3, openssl, gcc (scripts/guests/build-rootfs.sh)
  $IMG/kernels-*.bin       made by scripts/guests/build-kernels.sh (needs aarch64-linux-gnu-gcc)
and these programs on the PATH: ${TOOLS[*]}.
Each test of "npm run test:guests" names the image or tool that it misses.

Missing now:
$(missing | sed 's/^/  /')
TEXT
}

complete() { [ -z "$(missing)" ] && { [ "$(cat "$STAMP" 2> /dev/null)" = "$MADE_FROM" ] || [ "${1:-}" = images ]; }; }

case $MODE in
  "" | --force) ;;
  --check)
    if complete images; then echo "guests: all there, in $ARMATURE_GUESTS"; exit 0; fi
    missing
    exit 2
    ;;
  *) echo "guests: unknown argument '$MODE'; expected --check, --force or nothing" >&2; exit 2 ;;
esac
if [ "$MODE" != --force ] && complete; then
  echo "guests: all there, in $ARMATURE_GUESTS"
  exit 0
fi

[ -r /etc/os-release ] && . /etc/os-release
if [ "${ID:-}" != debian ]; then needs "This system is ${PRETTY_NAME:-unknown}."; exit 2; fi >&2
if ! command -v apt-get > /dev/null; then needs "There is no apt-get here."; exit 2; fi >&2
if [ "$(id -u)" != 0 ]; then needs "You are not root: sudo -E npm run guests."; exit 2; fi >&2

mkdir -p "$ARMATURE_GUESTS"/{apt/parts,debs,root,img}
# The machine's own Debian sources; in release 12 its backports too, for a current QEMU.
PARTS=$ARMATURE_GUESTS/apt/parts
rm -f "$PARTS"/*
for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do [ -s "$file" ] && cp "$file" "$PARTS/"; done
[ -f "$PARTS/sources.list" ] && mv "$PARTS/sources.list" "$PARTS/debian.list"
RELEASE=()
if [ "$VERSION_CODENAME" = bookworm ]; then
  RELEASE=(-t bookworm-backports)
  if [ -f "$PARTS/debian.sources" ]; then
    awk 'BEGIN { RS = ""; ORS = "\n\n" } /Suites:.*-updates/ { print }' "$PARTS/debian.sources" |
      sed -e '/^#/d' -e 's/^Suites:.*/Suites: bookworm-backports/' > "$PARTS/backports.sources"
  else
    sed -n 's/bookworm-updates/bookworm-backports/p' "$PARTS/debian.list" > "$PARTS/backports.list"
  fi
fi
APT=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$PARTS" -o APT::Sandbox::User=root -o Acquire::Retries=3)
dpkg --add-architecture arm64
# One index out of step on the mirror is no reason to stop.
apt-get "${APT[@]}" update || echo "guests: apt-get update was not clean; going on"
export DEBIAN_FRONTEND=noninteractive
apt-get "${APT[@]}" install -y --no-install-recommends "${RELEASE[@]}" qemu-system-arm qemu-system-data qemu-utils qemu-user
apt-get "${APT[@]}" install -y --no-install-recommends gcc-aarch64-linux-gnu libc6-dev-arm64-cross gdb-multiarch make \
  device-tree-compiler cpio kmod file xz-utils zstd socat u-boot-qemu u-boot-tools iperf3 ethtool iproute2 curl tshark libsystemc-dev g++ e2fsprogs debootstrap chromium

KERNEL=$(apt-cache "${APT[@]}" depends linux-image-arm64:arm64 | sed -n 's/.*Depends: \(linux-image-[0-9][^: ]*-arm64\).*/\1/p' | head -1)
[ -n "$KERNEL" ] || { echo "guests: linux-image-arm64 names no kernel package" >&2; exit 1; }
WANTED=("$KERNEL:arm64" pci.ids)
for package in busybox-static ethtool iproute2 iperf3 libiperf0 pciutils libpci3 kmod libkmod2 libc6 libmnl0 libbpf1 libelf1 zlib1g \
  libcap2 libbsd0 libmd0 libdb5.3 libselinux1 libpcre2-8-0 libtirpc3 libssl3 libsctp1 libzstd1 liblzma5 libgssapi-krb5-2 libkrb5-3 \
  libk5crypto3 libkrb5support0 libcom-err2 libkeyutils1 libxtables12 libudev1 libgcc-s1 libnl-3-200 libnl-route-3-200; do
  # Later releases carry some of them under a name with t64.
  for name in "$package" "${package}t64"; do
    if apt-cache "${APT[@]}" show "$name:arm64" > /dev/null 2>&1; then WANTED+=("$name:arm64"); break; fi
  done
done
rm -rf "$ARMATURE_GUESTS/debs" "$ARMATURE_GUESTS/root"
mkdir -p "$ARMATURE_GUESTS"/{debs,root}
(cd "$ARMATURE_GUESTS/debs" && apt-get "${APT[@]}" download "${WANTED[@]}")
for package in "$ARMATURE_GUESTS"/debs/*.deb; do dpkg -x "$package" "$ARMATURE_GUESTS/root/"; done
cp "$ARMATURE_GUESTS"/root/boot/vmlinuz-*-arm64 "$IMG/vmlinuz"
cp /usr/lib/u-boot/qemu_arm64/u-boot.bin "$IMG/u-boot.bin"
"$HERE/guests/build-kernels.sh"
"$HERE/guests/build-initramfs.sh"
"$HERE/guests/build-rootfs.sh" "$VERSION_CODENAME"
rm -rf "$ARMATURE_GUESTS/debs"
LEFT=$(missing)
if [ -n "$LEFT" ]; then printf 'guests: still missing:\n%s\n' "$LEFT" >&2; exit 1; fi
echo "$MADE_FROM" > "$STAMP"
echo "guests: ready in $ARMATURE_GUESTS"
