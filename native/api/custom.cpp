// Calls Python's functions from launches: takes the interpreter's lock, keeps what they raise.
#include "api/custom.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstring>
#include <utility>

#include "api/arrays.h"
#include "api/lock.h"
#include "kernels/custom.h"
#include "runtime/call/denormals.h"

namespace slim {
namespace {

// Both under the interpreter's lock; never end: a thread may outlive the interpreter.
PyObject* function = nullptr;  // (name, gradient, operands, types) -> (arrays, interrupted)
PyObject* raised = nullptr;    // by the last call that failed

std::vector<int64_t> shape_of(const Buffer& buffer, int64_t rows) {
  std::vector<int64_t> shape = buffer.dims;
  if (!shape.empty()) shape[0] = buffer.leading(rows);
  return shape;
}

// The function may keep its operands: they are its own.
py::list copies(const std::vector<Buffer>& operands, const Context& context) {
  py::list list;
  for (const Buffer& buffer : operands) {
    py::array array = make_array(buffer.dtype, shape_of(buffer, context.rows));
    std::memcpy(array.mutable_data(), buffer.in<std::byte>(context),
                static_cast<size_t>(array.nbytes()));
    list.append(std::move(array));
  }
  return list;
}

py::list types_of(const std::vector<Buffer>& results, const Context& context) {
  py::list list;
  for (const Buffer& buffer : results) {
    list.append(
        py::make_tuple(name_of(buffer.dtype), py::tuple(py::cast(shape_of(buffer, context.rows)))));
  }
  return list;
}

void call_python(const std::string& name, bool gradient, const Context& context,
                 const std::vector<Buffer>& operands, const std::vector<Buffer>& results) {
  const auto [arrays, interrupted] =
      py::reinterpret_borrow<py::object>(function)(name, gradient, copies(operands, context),
                                                   types_of(results, context))
          .cast<std::pair<std::vector<py::array>, bool>>();
  for (size_t i = 0; i < results.size(); ++i) {
    const auto bytes = static_cast<size_t>(arrays.at(i).nbytes());
    const Buffer& to = results[i];
    if (bytes != static_cast<size_t>(to.count(context.rows) * size_of(to.dtype))) {
      throw std::length_error("a function of Python's gave an array of another size");
    }
    std::memcpy(to.in<std::byte>(context), arrays[i].data(), bytes);
  }
  if (interrupted) PyErr_SetInterrupt();  // once more: this time native code hears of it
}

bool call(const std::string& name, bool gradient, const Context& context,
          const std::vector<Buffer>& operands, const std::vector<Buffer>& results) noexcept {
  return python([&] {
    const KeepDenormals keep;  // NumPy computes with them
    const PyGILState_STATE state = PyGILState_Ensure();
    bool fine = true;
    try {
      call_python(name, gradient, context, operands, results);
    } catch (py::error_already_set& error) {
      fine = false;
      py::object value = error.value();
      if (error.trace()) PyException_SetTraceback(value.ptr(), error.trace().ptr());
      Py_XSETREF(raised, value.release().ptr());
    } catch (const std::exception& error) {
      fine = false;
      Py_XSETREF(raised, PyObject_CallFunction(PyExc_RuntimeError, "s", error.what()));
      PyErr_Clear();
    }
    PyGILState_Release(state);
    return fine;
  });
}

}  // namespace

void bind_custom(py::module_& module) {
  module.attr("CUSTOM_FAILED") = kCustomFailed;
  module.def("set_custom", [](py::object callable) {
    Py_XSETREF(function, callable.release().ptr());
    set_custom_call(call);
  });
  // What the last function that failed raised, once; None if that is taken already.
  module.def("take_custom_error", [] {
    if (raised == nullptr) return py::object(py::none());
    return py::reinterpret_steal<py::object>(std::exchange(raised, nullptr));
  });
}

}  // namespace slim
