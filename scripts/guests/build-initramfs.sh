#!/bin/bash
# Builds $ARMATURE_GUESTS/img/initrd-min.cpio[.gz] (busybox, /init, modules for virtio and igb) and initrd-full.cpio[.gz] (and
# ethtool, iproute2, iperf3, lspci with their libraries). OVERLAY=DIR adds the files below DIR to both: scripts of your own go to
# DIR/vptest/NAME.sh and run with vptest=NAME on the kernel command line (see firmware/guests/initramfs/init).
set -euo pipefail
GUESTS=${ARMATURE_GUESTS:-$HOME/.cache/armature-guests}
INIT=$(cd "$(dirname "$0")/../../firmware/guests/initramfs" && pwd)/init
R=$GUESTS/root
KREL=$(basename "$(ls -d "$R"/lib/modules/*-arm64 "$R"/usr/lib/modules/*-arm64 2>/dev/null | head -1)")
MODULE_ROOT=$(dirname "$(dirname "$(dirname "$(ls -d "$R"/lib/modules/"$KREL" "$R"/usr/lib/modules/"$KREL" 2>/dev/null | head -1)")")")

first() { # first PATH...: the first that exists
  local path
  for path in "$@"; do [ -e "$path" ] && { echo "$path"; return; }; done
  echo "guests: none of $* exists" >&2
  return 1
}

stage() { # stage DIR MODULE...
  local dir=$1 module file
  shift
  rm -rf "$dir"
  mkdir -p "$dir"/{bin,sbin,dev,proc,sys,tmp,run,var,root,etc,mnt,vptest,usr/bin,usr/sbin,lib/modules/"$KREL"}
  cp "$(first "$R/bin/busybox" "$R/usr/bin/busybox")" "$dir/bin/busybox"
  ln -s /bin/busybox "$dir/sbin/modprobe"
  install -m 755 "$INIT" "$dir/init"
  cp "$GUESTS/img/kernels" "$GUESTS/img/kvmmini" "$dir/bin/"
  mknod -m 600 "$dir/dev/console" c 5 1
  mknod -m 666 "$dir/dev/null" c 1 3
  for file in modules.builtin modules.order modules.builtin.modinfo; do
    cp "$MODULE_ROOT/lib/modules/$KREL/$file" "$dir/lib/modules/$KREL/" 2>/dev/null || true
  done
  for module in "$@"; do
    modprobe -d "$MODULE_ROOT" -S "$KREL" --ignore-install --show-depends "$module" 2>/dev/null | sed -n 's/^insmod //p' |
      while read -r file _; do
        file=${file#"$MODULE_ROOT"}
        mkdir -p "$dir$(dirname "$file")"
        cp -n "$MODULE_ROOT$file" "$dir$file"
      done
  done
  depmod -b "$dir" "$KREL"
}

pack() { # pack DIR FILE: the same bytes for the same contents
  [ -z "${OVERLAY:-}" ] || cp -a "$OVERLAY/." "$1/"
  find "$1" -exec touch -h -d @0 {} +
  (cd "$1" && find . -print0 | LC_ALL=C sort -z | cpio --null -o -H newc --quiet --reproducible) > "$2"
  gzip -9nc "$2" > "$2.gz"
}

depmod -b "$MODULE_ROOT" "$KREL"
MODULES=(virtio_pci virtio_mmio virtio_net virtio_blk virtio_console igb igbvf e1000e)
stage "$GUESTS/stage-min" "${MODULES[@]}"
pack "$GUESTS/stage-min" "$GUESTS/img/initrd-min.cpio"

D=$GUESTS/stage-full
stage "$D" "${MODULES[@]}" vfio vfio_iommu_type1 vfio-pci nvme virtio_rng 8021q ext4
cp "$(first "$R/sbin/ethtool" "$R/usr/sbin/ethtool")" "$D/usr/sbin/"
cp "$(first "$R/bin/ip" "$R/usr/bin/ip")" "$D/usr/bin/ip"
cp "$(first "$R/usr/bin/iperf3")" "$D/usr/bin/"
cp "$(first "$R/usr/bin/lspci" "$R/sbin/lspci")" "$(first "$R/usr/bin/setpci" "$R/sbin/setpci")" "$D/usr/bin/"
mkdir -p "$D/usr/share/misc"
cp "$R/usr/share/misc/pci.ids" "$D/usr/share/misc/" 2>/dev/null || true
# Shared libraries, transitively.
needed() { aarch64-linux-gnu-objdump -p "$1" 2>/dev/null | sed -n 's/ *NEEDED *//p'; }
todo=("$D"/usr/sbin/* "$D"/usr/bin/*)
declare -A have=()
mkdir -p "$D/lib/aarch64-linux-gnu"
while ((${#todo[@]})); do
  file=${todo[0]}
  todo=("${todo[@]:1}")
  for library in $(needed "$file"); do
    [ -n "${have[$library]:-}" ] && continue
    have[$library]=1
    source=$(find "$R/lib" "$R/usr/lib" -name "$library" 2>/dev/null | head -1)
    [ -n "$source" ] || { echo "guests: library $library is in none of the packages" >&2; continue; }
    cp -L "$source" "$D/lib/aarch64-linux-gnu/$library"
    todo+=("$D/lib/aarch64-linux-gnu/$library")
  done
done
cp -L "$(first "$R/lib/ld-linux-aarch64.so.1" "$R/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1" "$R/usr/lib/ld-linux-aarch64.so.1")" "$D/lib/"
pack "$D" "$GUESTS/img/initrd-full.cpio"
