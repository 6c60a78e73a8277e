// What stands before printed functions.
#pragma once

#include <cstdint>
#include <string>

namespace slim {

enum class Dialect : uint8_t { c, cuda };

// Includes and the helpers whose names `body` holds.
std::string preamble(const std::string& body, Dialect dialect);

}  // namespace slim
