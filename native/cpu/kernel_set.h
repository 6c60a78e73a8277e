// How a kernel registers itself with the set of its instruction-set level.
#pragma once

#include "kernels/kernel.h"

#if !defined(SLIM_ISA_NAMESPACE) || !defined(SLIM_ISA_NAME)
#error "native/cpu is compiled once per level: -DSLIM_ISA_NAMESPACE=v3 -DSLIM_ISA_NAME=..."
#endif

#define SLIM_TEXT_OF_(x) #x
#define SLIM_TEXT_OF(x) SLIM_TEXT_OF_(x)

// One pointer a kernel in the level's own linker section. Nothing runs at load: code of a
// level that this machine lacks must not execute even once. Link objects in rising order of
// level (shared, generic, v3, v4): the linker keeps the first copy of an inline function of
// the standard library, so that every caller gets one its machine can run.
// SLIM_KERNEL(op, prepare), for a kernel with a workspace SLIM_KERNEL(op, prepare, workspace), for
// one that packs an operand SLIM_KERNEL(op, prepare, workspace, packing).
#define SLIM_KERNEL(op_name, ...)                                                            \
  static const ::slim::KernelRow slim_kernel_row_##op_name = {#op_name, __VA_ARGS__};        \
  [[gnu::used,                                                                               \
    gnu::section("slim_kernels_" SLIM_TEXT_OF(                                               \
        SLIM_ISA_NAMESPACE))]] static const ::slim::KernelRow* const slim_kernel_##op_name = \
      &slim_kernel_row_##op_name
