/*
 * What every native library of this project shares.
 *
 * A shim is a JNI-free core and one veneer file. Its functions take primitive arguments or the
 * address of off-heap memory. They never print, abort, throw, start threads, retry or call up into
 * Java, and every input has a defined answer.
 *
 * Results: a function that can fail returns a value of 0 or more, or -errno. Addresses of this
 * process are positive when read as signed 64-bit numbers on all platforms that are supported, so
 * an address and -errno never collide.
 */
#ifndef P2P_SHIM_H
#define P2P_SHIM_H

#include <stdint.h>

/*
 * Raised with every change to what Java calls: a function's name, arguments, result or meaning, or
 * the layout of off-heap memory that both sides read. NativeLibrary.ABI_VERSION is the same number;
 * a library that reports another one is not used.
 */
#define P2P_SHIM_ABI_VERSION 1

/* The library is compiled with -fvisibility=hidden: only what is marked so can be found. */
#define P2P_SHIM_EXPORT __attribute__((visibility("default")))

#endif
