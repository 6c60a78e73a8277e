// The numbers that a caller gives a function by name.
#pragma once

#include <map>
#include <string>

#include "runtime/plan/model.h"
#include "runtime/train/update.h"

namespace slim {

using Numbers = std::map<std::string, double>;

// Throws std::invalid_argument for a name that the program does not declare.
Hypers hypers_of(const Model& model, const Numbers& values);
// Throws where the function reads a hyper that `values` lacks.
void require_hypers(const Model& model, const std::string& function, const Numbers& values);

}  // namespace slim
