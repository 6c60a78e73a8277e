# Links the module as a wheel needs it: against the glibc that SLIM_GLIBC names, whatever this
# machine's is, with the compiler's own libraries inside. Given as CMAKE_PROJECT_INCLUDE by
# .ci/wheels.py. What is compiled stays what it is, and so do its bits.
function(own_library name)
  execute_process(COMMAND ${CMAKE_CXX_COMPILER} -print-file-name=${name}
    OUTPUT_VARIABLE path OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(own_libraries ${own_libraries} ${path} PARENT_SCOPE)
endfunction()
own_library(libstdc++.a)
own_library(libgcc.a)
own_library(libgcc_s.so.1)  # the archive unwinds by what only a new glibc has
list(JOIN own_libraries " " own_libraries)

# What the compiler's headers and libraries ask of a newer glibc.
file(WRITE ${CMAKE_BINARY_DIR}/threads.cpp [=[
#include <unistd.h>
extern "C" {
[[gnu::visibility("hidden")]] char __libc_single_threaded = 0;  // right in any process
[[gnu::visibility("hidden")]] unsigned arc4random() {
  unsigned bits = 0;
  return getentropy(&bits, sizeof bits) == 0 ? bits : 0;
}
}
]=])
execute_process(COMMAND_ERROR_IS_FATAL ANY WORKING_DIRECTORY ${CMAKE_BINARY_DIR}
  COMMAND ${CMAKE_CXX_COMPILER} -fPIC -c threads.cpp -o threads.o)

set(SLIM_PACKED_RELOCATIONS OFF)  # which an old glibc does not read

# Of what it holds nothing is seen outside: another module has a libstdc++ of its own.
file(WRITE ${CMAKE_BINARY_DIR}/module.map "{ global: PyInit__native; local: *; };\n")
string(JOIN " " CMAKE_CXX_CREATE_SHARED_MODULE
  ${SLIM_PYTHON_WITH_ZIG} -m ziglang c++ -target ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu.${SLIM_GLIBC}
  -shared -s -nostdlib++ -Wl,--version-script=${CMAKE_BINARY_DIR}/module.map -o <TARGET>
  <OBJECTS> ${CMAKE_BINARY_DIR}/threads.o ${own_libraries} ${SLIM_OPENMP})
# libslim, which says itself what is seen of it. Kernels register by being linked, which Zig
# takes for garbage.
string(JOIN " " CMAKE_CXX_CREATE_SHARED_LIBRARY
  ${SLIM_PYTHON_WITH_ZIG} -m ziglang c++ -target ${CMAKE_SYSTEM_PROCESSOR}-linux-gnu.${SLIM_GLIBC}
  -shared -nostdlib++ <LINK_FLAGS> -Wl,--no-gc-sections -Wl,-soname,<TARGET_SONAME> -o <TARGET>
  <OBJECTS> ${CMAKE_BINARY_DIR}/threads.o ${own_libraries} ${SLIM_OPENMP})
