# What the natives have in common. A native's CMakeLists.txt includes this file (its path comes as
# P2P_SHIM_CMAKE) and calls p2p_shim, and p2p_shim_driver for a driver of its core.

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(P2P_SHIM_INCLUDE "${CMAKE_CURRENT_LIST_DIR}/include")

if(NOT P2P_JNI_INCLUDE)
  message(FATAL_ERROR "P2P_JNI_INCLUDE must name the JDK's include folder")
endif()

function(p2p_shim_warnings target)
  target_compile_options(${target} PRIVATE -O2 -Wall -Wextra -Werror)
  target_include_directories(${target} PRIVATE "${P2P_SHIM_INCLUDE}")
endfunction()

# p2p_shim(NAME SOURCE...): lib<NAME>.so, linked to the C library alone.
function(p2p_shim name)
  add_library(${name} SHARED ${ARGN})
  p2p_shim_warnings(${name})
  target_compile_options(${name} PRIVATE -fvisibility=hidden)
  target_include_directories(${name} PRIVATE "${P2P_JNI_INCLUDE}" "${P2P_JNI_INCLUDE}/linux")
  target_link_options(${name} PRIVATE -Wl,-z,defs -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -s)
endfunction()

# p2p_shim_driver(NAME SOURCE...): a program of a core and its checks; and NAME_sanitized, the same
# under the sanitizers, where the compiler has them. Plain too, because the address sanitizer makes
# some system calls do nothing, mlock(2) among them.
function(p2p_shim_driver name)
  add_executable(${name} ${ARGN})
  p2p_shim_warnings(${name})
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_FLAGS -fsanitize=address,undefined)
  check_c_source_compiles("int main(void) { return 0; }" P2P_HAVE_SANITIZERS)
  if(P2P_HAVE_SANITIZERS)
    set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
    add_executable(${name}_sanitized ${ARGN})
    p2p_shim_warnings(${name}_sanitized)
    target_compile_options(${name}_sanitized PRIVATE ${sanitizers})
    target_link_options(${name}_sanitized PRIVATE ${sanitizers})
  endif()
endfunction()
