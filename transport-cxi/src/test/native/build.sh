#!/usr/bin/env bash
# Builds libfabric 2.1.0 and, on it, the simulated cxi provider, outside the work tree.
#
#   build.sh
#
# Prints one line on stdout, the folder; it has
#
#   libfabric/include, libfabric/lib   libfabric with the providers tcp, rxm, shm and sockets
#   provider/libcxi-fi.so              the simulated provider: a folder for FI_PROVIDER_PATH
#   sanitized/libcxi-fi.so             the same under the address and undefined-behaviour sanitizers
#   driver, driver_sanitized           its tests
#   peer                               a peer of the engine that follows the wire formats alone
#   loop                               what the engine is measured against
#
# All is in ${XDG_CACHE_HOME:-$HOME/.cache}/uccl-p2p/libfabric-2.1.0: a folder for each way in which
# libfabric was built, and for each state of the provider's sources, so that two work trees do not get
# in each other's way. What is there is kept; what was not asked for in 30 days goes. Two runs wait for
# each other.
# Everything that this script has to say goes to stderr.
set -euo pipefail

readonly version=2.1.0
readonly -a sources=(provider.c getinfo.c fabric.c domain.c memory.c address.c completion.c
  endpoint.c operations.c progress.c counts.c)

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
libfabric=$here/../../main/native/libfabric.sh
folder=${XDG_CACHE_HOME:-$HOME/.cache}/uccl-p2p/libfabric-$version
jobs=$(nproc)
((jobs <= 4)) || jobs=4

say() { printf 'simulated cxi: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

# Runs a command; its output is shown only when it fails.
quietly() { # NAME COMMAND...
  local name=$1 log=$temporary/log
  shift
  "$@" >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    die "$name failed"
  }
}

# --- libfabric ---------------------------------------------------------------------------------

# Every provider that configure knows, but the four.
disabled_providers() {
  local name
  for name in "$temporary/libfabric-$version"/prov/*/; do
    name=$(basename -- "$name")
    case $name in
      tcp | rxm | shm | sockets | util | coll | hook) ;;
      *) printf -- '--disable-%s\n' "$name" ;;
    esac
  done
}

build_libfabric() {
  local source=$temporary/libfabric-$version archive
  local -a disabled
  say "building libfabric $version (a minute or so, once)"
  archive=$("$libfabric" archive)
  quietly "unpacking $archive" tar -C "$temporary" -xf "$archive"
  cd -- "$source"
  quietly "libfabric's autogen.sh" ./autogen.sh
  mapfile -t disabled < <(disabled_providers)
  quietly "libfabric's configure" ./configure CFLAGS='-O1 -g0' --prefix="$1" --disable-static \
    --enable-tcp --enable-rxm --enable-shm --enable-sockets "${disabled[@]}"
  quietly "libfabric's build" make -j"$jobs"
  quietly "libfabric's installation" make install DESTDIR="$temporary/root"
  # Installed by libfabric only together with its cxi provider, which needs hardware to build.
  cp prov/cxi/include/fi_cxi_ext.h "$temporary/root$1/include/rdma/"
  cd -- "$here"
  mv -- "$temporary/root$1" "$1"
}

# --- the provider --------------------------------------------------------------------------------

compile() { # OUTPUT SANITIZERS... -- FILES...
  local output=$1
  local -a flags=(-D_GNU_SOURCE -std=c11 -O2 -g -Wall -Wextra -Werror -fvisibility=hidden)
  shift
  while [[ $1 != -- ]]; do
    flags+=("$1")
    shift
  done
  shift
  quietly "compiling $(basename -- "$output")" "${CC:-gcc}" "${flags[@]}" \
    -isystem "$installed/include" -o "$output" "$@" \
    -L"$installed/lib" -Wl,-rpath,"$installed/lib" -Wl,-z,now -lfabric -lpthread
}

build_provider() { # FOLDER
  local made=$temporary/made
  local -a sanitizers=('-fsanitize=address,undefined' -fno-sanitize-recover=all
    -fno-omit-frame-pointer)
  say "building the provider, its driver, the peer and the loop"
  cd -- "$here"
  mkdir -p "$made/provider" "$made/sanitized"
  compile "$made/provider/libcxi-fi.so" -fPIC -shared -Wl,-z,defs -- "${sources[@]}"
  compile "$made/sanitized/libcxi-fi.so" -fPIC -shared "${sanitizers[@]}" -- "${sources[@]}"
  compile "$made/driver" -- driver/*.c
  compile "$made/peer" -- peer/*.c
  compile "$made/loop" -- loop/*.c
  compile "$made/driver_sanitized" "${sanitizers[@]}" -- driver/*.c
  ln -s "$installed" "$made/libfabric"
  mv -- "$made" "$1"
}

# --- main ------------------------------------------------------------------------------------------

mkdir -p -- "$folder"
exec {lock}>"$folder/lock"
flock "$lock"
temporary=$(mktemp -d -- "$folder/build.XXXXXX")
trap 'rm -rf -- "$temporary"' EXIT

recipe=$({
  "$libfabric" checksum
  declare -f build_libfabric disabled_providers
} | sha256sum)
installed=$folder/libfabric-${recipe:0:16}
if [[ ! -d $installed ]]; then
  build_libfabric "$installed" {lock}>&-
fi
touch -- "$installed"

state=$(cd -- "$here" && cat -- {.,driver,peer,loop}/*.[ch] build.sh | sha256sum)
simulated=$folder/simulated-${state:0:16}
if [[ ! -d $simulated ]]; then
  build_provider "$simulated" {lock}>&-
fi
touch -- "$simulated"
find "$folder" -maxdepth 1 -type d -name '*-????????????????' -mtime +30 -exec rm -rf -- {} +

printf '%s\n' "$simulated"
