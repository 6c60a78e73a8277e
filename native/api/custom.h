// Functions of the user's, called from launches.
#pragma once

#include <pybind11/pybind11.h>

namespace slim {

void bind_custom(pybind11::module_& module);

}  // namespace slim
