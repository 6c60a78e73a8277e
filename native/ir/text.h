// The text of a program: parse and print, each the exact inverse of the other.
#pragma once

#include <string>
#include <string_view>

#include "ir/graph.h"

namespace slim {

// Throws std::invalid_argument "line 7: expected ..., found ...". The text is untrusted:
// whatever it holds, parsing ends in a program or in that error. Types are not checked here.
Program parse(std::string_view text);

std::string print(const Program& program);
std::string print(const Function& function, const Program& program);
std::string print(const Attribute& attribute);
std::string print_float(double value);              // as Python's repr
std::string print_string(const std::string& text);  // as JSON

}  // namespace slim
