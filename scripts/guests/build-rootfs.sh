#!/bin/bash
# A Debian root file system for the guests, made with debootstrap: perl, Python, OpenSSL, GCC, on ext4 in $ARMATURE_GUESTS/img/rootfs.img.
# Packages are unpacked but not configured (that would need an arm64 machine): programs run, services do not.
set -euo pipefail
GUESTS=${ARMATURE_GUESTS:-$HOME/.cache/armature-guests}
RELEASE=${1:-bookworm}
INCLUDE=perl,python3-minimal,openssl,gcc,libc6-dev
R=$GUESTS/rootfs
rm -rf "$R"
mkdir -p "$R"
MIRROR=$(sed -n 's/^URIs: *\([^ ]*debian\)\/*$/\1/p; s/^deb \([^ ]*debian\)\/* .*/\1/p' /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list 2> /dev/null | head -1 || true)
debootstrap --foreign --arch=arm64 --variant=minbase --include="$INCLUDE" "$RELEASE" "$R" ${MIRROR:+"$MIRROR"}
for package in "$R"/var/cache/apt/archives/*.deb; do dpkg -x "$package" "$R"; done
rm -rf "$R"/var/cache/apt/archives/*.deb "$R/debootstrap" "$R"/usr/share/{doc,locale,man,info}
find "$R" -exec touch -h -d @0 {} +
rm -f "$GUESTS/img/rootfs.img"
mke2fs -q -t ext4 -U 61726d61-7475-7265-0000-000000000000 -E hash_seed=61726d61-7475-7265-0000-000000000000 -d "$R" "$GUESTS/img/rootfs.img" 640M
rm -rf "$R"
