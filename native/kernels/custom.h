// How a launch reaches a function of the user's, in a language that native code does not know.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/kernel.h"

namespace slim {

// A status bit, beside those of kernel.h: the function failed, and what it raised is kept by
// whoever called it.
inline constexpr uint32_t kCustomFailed = 32;

// Where operands and results lie that are not the host's.
struct CustomPlace {
  int device;    // its number
  void* stream;  // what the function computes has its turn there
};

// Calls the function of this name, or its gradient, and writes the results. False if it failed.
// `place` null: on copies of the operands; else on the operands themselves, by what the node has
// for such a place. From any thread that does not keep the interpreter's lock.
using CustomCall = bool (*)(const std::string& name, bool gradient, const CustomPlace* place,
                            const Context& context, const std::vector<Buffer>& operands,
                            const std::vector<Buffer>& results) noexcept;

// Null where nobody can call such functions, as in programs without Python. Set before any use.
CustomCall custom_call() noexcept;
void set_custom_call(CustomCall call) noexcept;

}  // namespace slim
