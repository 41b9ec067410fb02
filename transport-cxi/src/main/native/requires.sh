#!/bin/sh
# Prints the folder of libfabric's headers that the shim is built with, or why there is none; then it
# fails. They are those of libfabric 2.1 or later; older ones lack fields that are read where the
# library has them.
set -u

cache=${XDG_CACHE_HOME:-${HOME-}/.cache}/uccl-p2p/libfabric-2.1.0

folder=${P2P_LIBFABRIC_INCLUDE:-$cache/headers}
if [ -f "$folder/rdma/fi_cxi_ext.h" ] &&
  grep -Eq '^#define FI_MAJOR_VERSION ([2-9]|[1-9][0-9])$' "$folder/rdma/fabric.h"; then
  echo "$folder"
  exit 0
fi
if [ -n "${P2P_LIBFABRIC_INCLUDE-}" ]; then
  echo "P2P_LIBFABRIC_INCLUDE=$P2P_LIBFABRIC_INCLUDE has no headers of libfabric 2.1 or later (rdma/fabric.h)"
else
  echo "no headers of libfabric 2.1 in $cache: run ./p2p once, which fetches them, or set P2P_LIBFABRIC_INCLUDE to a folder that has them"
fi
exit 1
