#!/bin/sh
# Prints the folder of libibverbs' headers that the shim is built with, or why there is none; then it
# fails.
set -u

folder=${P2P_LIBIBVERBS_INCLUDE:-/usr/include}
if [ -f "$folder/infiniband/verbs.h" ]; then
  echo "$folder"
  exit 0
fi
if [ -n "${P2P_LIBIBVERBS_INCLUDE-}" ]; then
  echo "P2P_LIBIBVERBS_INCLUDE=$P2P_LIBIBVERBS_INCLUDE has no headers of libibverbs (infiniband/verbs.h)"
else
  echo "no headers of libibverbs in $folder (Debian: apt-get install libibverbs-dev), or set P2P_LIBIBVERBS_INCLUDE to a folder that has them"
fi
exit 1
