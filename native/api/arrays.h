// NumPy arrays as the runtime sees them: sources of any stride, arenas of bytes.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "runtime/data/source.h"
#include "runtime/plan/model.h"
#include "runtime/train/hypers.h"
#include "runtime/train/update.h"

namespace slim {

namespace py = pybind11;

// Sources and the arrays that they lie in: the dict they came from may change meanwhile.
struct LentSources {
  std::vector<Source> sources;
  std::vector<py::object> arrays;
};
// Of what lies in a device's memory (backend.resident): type, place, shape and strides.
Source resident_source(const py::handle& array, const std::string& name);
// Throws for a type that the runtime cannot read.
LentSources sources_of(const py::dict& arrays);

// None gives an empty vector. Throws for what is no list of row numbers.
std::vector<uint32_t> index_of(const py::object& rows);

// A contiguous uint8 array of at least `bytes`, aligned to 64 bytes; writable unless only read.
std::byte* arena_of(const py::object& array, int64_t bytes, const char* what, bool writes = true);

// The arenas of a program and, where given, those of its optimizer. `writes`: params and state.
Arrays arrays_of(const Model& model, const py::object& params, const py::object& state,
                 const py::object& gradient, const py::object& slots, bool writes = true);

Hypers hypers_of(const Model& model, const py::dict& values);
// Throws where the function reads a hyper that `values` lacks.
void require_hypers(const Model& model, const std::string& function, const py::dict& values);

// Of tuples: hyper, column of the table of rates, base, scale.
std::vector<Scheduled> scheduled_of(const py::list& scheduled);
std::vector<Segment> segments_of(const py::list& segments);

// A fresh array for a returned value.
py::array make_array(DType dtype, const std::vector<int64_t>& shape);

// True once Python has a signal's exception to raise: under the interpreter's lock, and for
// threads that are Unlocked.
bool signal_waits();
bool signal_came();

}  // namespace slim
