#!/usr/bin/env bash
# Fetches the libfabric that the shim is written against: Debian's source package of 2.1.0, checked by
# its checksum, into ${XDG_CACHE_HOME:-$HOME/.cache}/uccl-p2p/libfabric-2.1.0.
#
#   libfabric.sh checksum   prints the SHA-256 of the package
#   libfabric.sh archive    prints the path of the package
#   libfabric.sh headers    prints the folder of its headers, one for #include <rdma/fabric.h>
#
# What is there is kept. Everything that this script has to say goes to stderr.
set -euo pipefail

readonly version=2.1.0
readonly name=libfabric_$version.orig.tar.xz
readonly sha256=1a66369772d5bb151737214af1c478993e969cf298e8f9ed369e7a2ab8d8c6df
readonly path=debian/pool/main/libf/libfabric/$name
readonly -a urls=(
  "https://deb.debian.org/$path"
  "http://deb.debian.org/$path"
  "https://snapshot.debian.org/archive/debian/20250501T000000Z/${path#debian/}"
)

folder=${XDG_CACHE_HOME:-$HOME/.cache}/uccl-p2p/libfabric-$version

checksum() { printf '%s\n' "$sha256"; }

is_right() { printf '%s  %s\n' "$sha256" "$1" | sha256sum -c --status 2>/dev/null; }

archive() {
  local url
  if ! is_right "$folder/$name"; then
    for url in "${urls[@]}"; do
      # Whoever fetches it at the same time gets the same bytes: the last one to rename wins.
      if curl -fsSL --connect-timeout 10 --max-time 120 -o "$folder/$name.$$" "$url" &&
        is_right "$folder/$name.$$"; then
        mv "$folder/$name.$$" "$folder/$name"
        break
      fi
      rm -f "$folder/$name.$$"
    done
    is_right "$folder/$name" || {
      printf 'libfabric: %s with the right checksum is not to be had from: %s\n' "$name" "${urls[*]}" >&2
      exit 1
    }
  fi
  printf '%s\n' "$folder/$name"
}

headers() {
  local from
  if [[ ! -f $folder/headers/rdma/fabric.h ]]; then
    from=$(archive)
    rm -rf "$folder/headers.$$"
    mkdir "$folder/headers.$$"
    # The last one is installed by libfabric only where it builds its cxi provider.
    tar -xJf "$from" -C "$folder/headers.$$" --transform 's,^.*/,rdma/,' --wildcards \
      "libfabric-$version/include/rdma/*.h" "libfabric-$version/prov/cxi/include/fi_cxi_ext.h"
    # It may have come into being meanwhile; it is the same.
    mv -T "$folder/headers.$$" "$folder/headers" 2>/dev/null || rm -rf "$folder/headers.$$"
  fi
  printf '%s\n' "$folder/headers"
}

case ${1-} in
  checksum | archive | headers)
    mkdir -p "$folder"
    "$1"
    ;;
  *)
    printf 'usage: libfabric.sh checksum|archive|headers\n' >&2
    exit 2
    ;;
esac
