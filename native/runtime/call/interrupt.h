// How a long native call learns that the user wants it to end.
#pragma once

#include <functional>

namespace slim {

// Called every few milliseconds between steps; true ends the call.
using Interrupt = std::function<bool()>;

}  // namespace slim
