// DLPack's capsules, read in place.
#pragma once

#include <pybind11/pybind11.h>

namespace slim {

// (pointer, shape, strides in bytes, letter of NumPy for the kind of a number, its bytes). The
// capsule is not used up: it owns the array as long as it lives. Throws for what is no capsule of
// an array; ValueError for numbers that NumPy has no letter for.
pybind11::tuple read_dlpack(const pybind11::capsule& capsule);

}  // namespace slim
