#!/usr/bin/env bash
# Runs a command in a small virtual machine with a real RDMA device: Debian's kernel with soft RoCE,
# under qemu's emulation, which needs neither rights nor hardware.
#
#   guest.sh prepare              gets the kernel, once, and prints the folder of what it made
#   guest.sh run [OPTION]... COMMAND [ARGUMENT]...
#
#   -f FOLDER   can be written in the guest, at its own path (may be repeated)
#   -c N        processors (2)
#   -m MIB      memory (4096)
#   -t SECONDS  then the guest is ended (600)
#   -s 1|2      the first or the second of two guests with a link between them
#   -l FOLDER   where the two meet
#
# The guest sees this machine's files; what it writes outside of FOLDER is gone at its end. The
# command has this environment and working directory, an empty stdin, no limit on locked memory and
# the device rxe0 at 10.0.0.1 (of two guests 10.0.0.1 and 10.0.0.2). Its stdout, stderr and exit
# status are this one's; 124: the time was over, 125: the guest broke.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/uccl-p2p

say() { printf 'guest: %s\n' "$*" >&2; }

die() { # STATUS MESSAGE
  local status=$1
  shift
  say "$*"
  exit "$status"
}

# --- the kernel and its first file system --------------------------------------------------------

# In the order in which they can be loaded: the virtual machine's devices, the file systems, RDMA
# (rxe checks with crc32), the network cards, and queues that lose and delay some of what is sent.
modules=(virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_console
  netfs fscache 9pnet 9pnet_virtio 9p overlay
  crc32_generic udp_tunnel ip6_udp_tunnel ib_core ib_uverbs rdma_rxe
  dummy failover net_failover virtio_net sch_prio cls_u32 sch_netem)

kernel_package() {
  apt-cache depends --important linux-image-amd64 |
    sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1
}

# Downloads Debian's kernel package and unpacks it; apt checks its signature.
unpack_kernel() { # FOLDER
  local package
  package=$(kernel_package)
  if [[ -z $package ]] && ((EUID == 0)); then
    # An image of a machine often has the tools, but not apt's lists.
    apt-get -qq update >&2 || die 5 "apt-get update failed"
    package=$(kernel_package)
  fi
  [[ -n $package ]] || die 5 "apt knows no kernel: type apt-get update"
  say "fetching $package (about 70 MB, once)"
  mkdir -p "$1"
  # Into a folder that apt's own user cannot enter: as root apt would warn of it.
  (cd -- "$1" && apt-get -qq -o "APT::Sandbox::User=$(id -un)" download "$package" >&2) || die 5 "apt-get download $package failed"
  dpkg -x "$1"/linux-image-*.deb "$1"
}

# Debian's kernel unpacks itself with code that takes seconds under emulation. What it would unpack
# begins with the magic number of xz; what follows it is not for xz, which says so.
extract_kernel() { # FROM TO
  local at
  at=$(LC_ALL=C grep --text --byte-offset --only-matching --max-count=1 --perl-regexp \
    '\xFD7zXZ\x00' "$1" | head -n 1 | cut -d: -f1)
  [[ -n $at ]] || die 125 "$1 has no part that is compressed with xz"
  tail --bytes=+$((at + 1)) "$1" | xz --decompress --stdout --single-stream >"$2" 2>/dev/null || true
  [[ $(head --bytes=4 "$2") == $'\x7fELF' ]] || die 125 "$1 has no kernel in it"
}

make_first_files() { # KERNEL-PACKAGE TO
  local root=$temporary/first module path number=100
  mkdir -p "$root"/{bin,modules,proc,dev,run,machine,changes,root}
  cp -- "$(command -v busybox)" "$root/bin/busybox"
  cp -- "$here/init.sh" "$root/init"
  chmod +x "$root/init"
  for module in "${modules[@]}"; do
    path=$(find "$1/lib/modules" -name "$module.ko" -print -quit)
    [[ -n $path ]] || die 125 "the kernel has no module $module"
    cp -- "$path" "$root/modules/$((number++)).ko"
  done
  (cd -- "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$2"
}

# Sets made to the folder of kernel and initrd, and makes it when there is none.
prepare() {
  local tool state lock
  [[ $(uname -m) == x86_64 ]] || die 5 "only on x86_64, this is $(uname -m)"
  for tool in qemu-system-x86_64 busybox xz setpriv apt-get dpkg; do
    command -v "$tool" >/dev/null || die 5 "$tool is missing (Debian: apt-get install \
qemu-system-x86 busybox-static xz-utils util-linux)"
  done
  state=$({
    declare -f unpack_kernel extract_kernel make_first_files
    printf '%s\n' "${modules[@]}"
    cat -- "$here/init.sh"
  } | sha256sum)
  made=$folder/guest-${state:0:16}
  mkdir -p -- "$folder"
  exec {lock}>"$folder/guest.lock"
  flock "$lock"
  if [[ ! -d $made ]]; then
    temporary=$(mktemp -d -- "$folder/guest.XXXXXX")
    trap 'rm -rf -- "$temporary"' EXIT
    unpack_kernel "$temporary/package"
    mkdir "$temporary/made"
    extract_kernel "$temporary"/package/boot/vmlinuz-* "$temporary/made/kernel"
    make_first_files "$temporary/package" "$temporary/made/initrd"
    mv -- "$temporary/made" "$made"
    rm -rf -- "$temporary"
    trap - EXIT
  fi
  touch -- "$made"
  find "$folder" -maxdepth 1 -type d -name 'guest-*' -mtime +30 -exec rm -rf -- {} +
  exec {lock}>&-
}

# --- a run ---------------------------------------------------------------------------------------

# A folder of this machine for the guest, by the tag that it mounts it by.
share() { # TAG FOLDER [OPTIONS]
  machine+=(-fsdev "local,id=$1,path=$2,security_model=none,multidevs=remap${3:-}"
    -device "virtio-9p-pci,fsdev=$1,mount_tag=$1")
}

# What the guest's init runs when the machine's files are there, as /bin/sh of busybox.
write_start() { # CARD ADDRESS
  local i
  for i in "${!writable[@]}"; do
    printf 'share writable%d %q\n' "$i" "${writable[i]}"
  done
  printf 'network %q %q\n' "$1" "$2"
}

# What the guest runs, as this machine's bash in this machine's files.
write_command() { # COMMAND [ARGUMENT]...
  export -p
  printf 'ulimit -l unlimited\ncd %q\nexec' "$PWD"
  printf ' %q' "$@"
  printf '\n'
}

run() {
  local processors=2 memory=4096 seconds=600 side=0 link='' card=dummy0 status=0 option
  local -a machine=() writable=()
  while getopts f:c:m:t:s:l: option; do
    case $option in
      f) writable+=("$(realpath -- "$OPTARG")") ;;
      c) processors=$OPTARG ;;
      m) memory=$OPTARG ;;
      t) seconds=$OPTARG ;;
      s) side=$OPTARG ;;
      l) link=$OPTARG ;;
      *) die 2 "see the head of $here/guest.sh" ;;
    esac
  done
  shift $((OPTIND - 1))
  (($# > 0)) || die 2 "no command"
  prepare
  files=$(mktemp -d -- "${TMPDIR:-/tmp}/p2p-guest.XXXXXX")
  trap 'rm -rf -- "$files"' EXIT
  share machine / ,readonly=on
  share run "$files"
  for option in "${!writable[@]}"; do
    share "writable$option" "${writable[option]}"
  done
  if [[ $side != 0 ]]; then
    [[ $side == [12] && -d $link ]] || die 2 "-s wants 1 or 2, and -l FOLDER"
    card=eth0
    # Datagrams: either may start first, and nothing between the two retransmits or delays.
    rm -f -- "$link/$side"
    machine+=(-netdev "dgram,id=link,local.type=unix,local.path=$link/$side,\
remote.type=unix,remote.path=$link/$((3 - side))"
      -device "virtio-net-pci,netdev=link,mac=52:54:00:12:34:0$side,host_mtu=9000")
  fi
  write_start "$card" "10.0.0.$((side == 2 ? 2 : 1))" >"$files/start"
  write_command "$@" >"$files/command"
  # Descriptors of ours: qemu would truncate what it opens by name.
  exec {out}>&1 {err}>&2
  # Each ends with who started it, however that ended.
  setpriv --pdeathsig KILL timeout --foreground --kill-after=5 "$seconds" \
    setpriv --pdeathsig KILL qemu-system-x86_64 -M pc -accel tcg,thread=multi -cpu max -smp "$processors" -m "$memory" \
    -nodefaults -no-user-config -display none -no-reboot \
    -kernel "$made/kernel" -initrd "$made/initrd" \
    -append 'console=ttyS0 quiet panic=-1 reboot=t mitigations=off tsc=reliable' \
    -chardev "file,id=console,path=$files/console" -serial chardev:console \
    -add-fd "fd=$out,set=1" -chardev file,id=out,path=/dev/fdset/1,append=on \
    -add-fd "fd=$err,set=2" -chardev file,id=err,path=/dev/fdset/2,append=on \
    -device virtio-serial-pci \
    -device virtserialport,nr=1,chardev=out -device virtserialport,nr=2,chardev=err \
    "${machine[@]}" </dev/null >&2 || status=$?
  if [[ -s $files/status ]]; then
    status=$(<"$files/status")
    exit "$status"
  fi
  cat -- "$files/console" >&2 || true
  ((status == 124 || status == 137)) && die 124 "the guest was ended after $seconds s"
  die 125 "the guest ended before its command did (qemu: $status)"
}

# --- main ----------------------------------------------------------------------------------------

made=
temporary=
files=
case ${1:-} in
  prepare)
    prepare
    printf '%s\n' "$made"
    ;;
  run)
    shift
    run "$@"
    ;;
  *) die 2 "usage: guest.sh prepare | run [OPTION]... COMMAND [ARGUMENT]..." ;;
esac
