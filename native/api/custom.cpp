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

// All under the interpreter's lock; never end: a thread may outlive the interpreter.
PyObject* on_host = nullptr;  // (name, gradient, operands, types) -> (arrays, interrupted)
PyObject* on_device =
    nullptr;                 // (name, gradient, device, stream, operands, results) -> interrupted
PyObject* raised = nullptr;  // by the last call that failed

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

py::tuple shape_in(const Context& context, const Buffer& buffer) {
  return py::tuple(py::cast(shape_of(buffer, context.rows)));
}

py::list types_of(const std::vector<Buffer>& results, const Context& context) {
  py::list list;
  for (const Buffer& buffer : results) {
    list.append(py::make_tuple(name_of(buffer.dtype), shape_in(context, buffer)));
  }
  return list;
}

// Whether Ctrl-C came.
bool call_on_host(const std::string& name, bool gradient, const Context& context,
                  const std::vector<Buffer>& operands, const std::vector<Buffer>& results) {
  const auto [arrays, interrupted] =
      py::reinterpret_borrow<py::object>(on_host)(name, gradient, copies(operands, context),
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
  return interrupted;
}

// Of each the pointer, the type and the shape.
py::list places_of(const std::vector<Buffer>& buffers, const Context& context) {
  py::list list;
  for (const Buffer& buffer : buffers) {
    const auto pointer = reinterpret_cast<uintptr_t>(buffer.in<std::byte>(context));
    list.append(py::make_tuple(pointer, name_of(buffer.dtype), shape_in(context, buffer)));
  }
  return list;
}

bool call_on_device(const std::string& name, bool gradient, const CustomPlace& place,
                    const Context& context, const std::vector<Buffer>& operands,
                    const std::vector<Buffer>& results) {
  return py::reinterpret_borrow<py::object>(on_device)(
             name, gradient, place.device, reinterpret_cast<uintptr_t>(place.stream),
             places_of(operands, context), places_of(results, context))
      .cast<bool>();
}

bool call(const std::string& name, bool gradient, const CustomPlace* place, const Context& context,
          const std::vector<Buffer>& operands, const std::vector<Buffer>& results) noexcept {
  return python([&] {
    const KeepDenormals keep;  // NumPy computes with them
    const PyGILState_STATE state = PyGILState_Ensure();
    bool fine = true;
    try {
      const bool interrupted =
          place != nullptr ? call_on_device(name, gradient, *place, context, operands, results)
                           : call_on_host(name, gradient, context, operands, results);
      if (interrupted) PyErr_SetInterrupt();  // once more: this time native code hears of it
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
  module.def("set_custom", [](py::object host, py::object device) {
    Py_XSETREF(on_host, host.release().ptr());
    Py_XSETREF(on_device, device.release().ptr());
    set_custom_call(call);
  });
  // What the last function that failed raised, once; None if that is taken already.
  module.def("take_custom_error", [] {
    if (raised == nullptr) return py::object(py::none());
    return py::reinterpret_steal<py::object>(std::exchange(raised, nullptr));
  });
}

}  // namespace slim
