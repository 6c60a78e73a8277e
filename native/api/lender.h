// Memory of a GPU that Python's libraries lend.
#pragma once

#include <pybind11/pybind11.h>

namespace slim {

void bind_lender(pybind11::module_& module);

}  // namespace slim
