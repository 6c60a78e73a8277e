// The parts of the Python module, one function each.
#pragma once

#include <pybind11/pybind11.h>

#include "runtime/call/profile.h"

namespace slim {

void bind_model(pybind11::module_& module);
void bind_predictor(pybind11::module_& module);
void bind_tables(pybind11::module_& module);
void bind_training(pybind11::module_& module);
void bind_files(pybind11::module_& module);
void bind_residents(pybind11::module_& module);
void bind_tools(pybind11::module_& module);
void bind_test_device(pybind11::module_& module);
void bind_test_cupy(pybind11::module_& module);

// A dict a launch: name, op, seconds (mean), least, flops, bytes.
pybind11::list list_of(const Profile& profile);

}  // namespace slim
