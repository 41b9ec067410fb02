#!/bin/sh
# Builds one native library and packs it where the jar takes it from. Maven calls it.
#
#   build.sh NAME SOURCE BUILD CLASSES JAVA_HOME [REQUIRE]
#
#   NAME       library: lib<NAME>.so
#   SOURCE     folder of its CMakeLists.txt
#   BUILD      folder for what CMake makes
#   CLASSES    folder that the jar is made of; gets META-INF/native/linux-<arch>/lib<NAME>.so
#   JAVA_HOME  JDK whose include/jni.h is used
#   REQUIRE    comma-separated list; if "natives" or NAME is in it, leaving the library out is a
#              failure
#
# Without cmake, make (or ninja), a C compiler or jni.h it says so in one line and succeeds. So it
# does when SOURCE has a requires.sh that fails, with the line that this one prints. What it prints
# when it succeeds, CMake gets as P2P_FOUND.
# The compiler is $CC, else the first of cc, gcc, clang.
set -eu

name=$1 source=$2 build=$3 classes=$4 java_home=$5 require=${6-}
here=$(cd "$(dirname "$0")" && pwd)

case $(uname -m) in
  x86_64 | amd64) arch=x86_64 ;;
  aarch64 | arm64) arch=aarch64 ;;
  *) arch= ;;
esac
packed=$classes/META-INF/native/linux-$arch/lib$name.so

left_out() {
  # A library that an earlier build packed would contradict the line.
  rm -f "$packed"
  case ",$require," in
    *,natives,* | *",$name,"*)
      echo "p2p: lib$name.so cannot be built, and -Dp2p.require=natives asks for it: $1" >&2
      exit 1
      ;;
  esac
  echo "p2p: natives left out (lib$name.so): $1"
  exit 0
}

have() {
  command -v "$1" >/dev/null 2>&1
}

[ "$(uname -s)" = Linux ] || left_out "built on Linux only, this is $(uname -s)"
[ -n "$arch" ] || left_out "built for x86_64 and aarch64 only, this is $(uname -m)"
have cmake || left_out "cmake is not installed (Debian: apt-get install cmake make gcc libc6-dev)"
if have make; then
  generator="Unix Makefiles"
elif have ninja; then
  generator=Ninja
else
  left_out "neither make nor ninja is installed (Debian: apt-get install make)"
fi
compiler=
for candidate in ${CC:-cc gcc clang}; do
  if have "$candidate"; then
    compiler=$(command -v "$candidate")
    break
  fi
done
[ -n "$compiler" ] ||
  left_out "no C compiler (${CC:-cc, gcc or clang}) is installed (Debian: apt-get install gcc libc6-dev)"
found=
if [ -f "$source/requires.sh" ]; then
  found=$(sh "$source/requires.sh") || left_out "$found"
fi
[ -f "$java_home/include/jni.h" ] ||
  left_out "$java_home has no include/jni.h: run Maven with a JDK (Debian: apt-get install openjdk-17-jdk-headless)"

# Configured anew when anything that CMake was told changes; CMake itself sees the rest.
settings="$source $here $generator $compiler $java_home $found"
if [ ! -f "$build/CMakeCache.txt" ] || [ "$(cat "$build/settings" 2>/dev/null)" != "$settings" ]; then
  printf '#include <stdint.h>\n#include <sys/mman.h>\n' |
    "$compiler" -x c -fsyntax-only - >/dev/null 2>&1 ||
    left_out "$compiler finds no C library headers (Debian: apt-get install libc6-dev)"
  rm -rf "$build"
  mkdir -p "$build"
  cmake -S "$source" -B "$build" -G "$generator" -DCMAKE_C_COMPILER="$compiler" \
    -DCMAKE_BUILD_TYPE=None -DP2P_SHIM_CMAKE="$here/shim.cmake" \
    -DP2P_JNI_INCLUDE="$java_home/include" -DP2P_FOUND="$found" >"$build/configure.log" 2>&1 || {
    cat "$build/configure.log" >&2
    exit 1
  }
  printf '%s\n' "$settings" >"$build/settings"
fi
cmake --build "$build" >"$build/build.log" 2>&1 || {
  cat "$build/build.log" >&2
  exit 1
}

if ! cmp -s "$build/lib$name.so" "$packed"; then
  mkdir -p "$(dirname "$packed")"
  cp "$build/lib$name.so" "$packed.new"
  mv "$packed.new" "$packed"
fi
