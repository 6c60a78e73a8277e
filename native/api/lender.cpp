// Asks Python's functions for memory: takes the interpreter's lock, and drops what they raise.
#include "api/lender.h"

#include "api/lock.h"
#include "cuda/lender.h"

namespace py = pybind11;

namespace slim {
namespace {

// Never end: memory is given back when the interpreter is gone, too.
PyObject *allocate_by = nullptr, *release_by = nullptr, *free_by = nullptr;

// What a function gives for these numbers, 0 where it fails: who asks has memory of its own.
template <class... Numbers>
uint64_t ask(PyObject* function, Numbers... numbers) noexcept {
  if (Py_IsInitialized() == 0) return 0;
  return python([&]() -> uint64_t {
    const PyGILState_STATE state = PyGILState_Ensure();
    uint64_t given = 0;
    try {
      const auto callable = py::reinterpret_borrow<py::object>(function);
      given = callable(numbers...).template cast<uint64_t>();
    } catch (py::error_already_set& error) {
      if (error.matches(PyExc_KeyboardInterrupt)) PyErr_SetInterrupt();  // native code hears of it
    } catch (const std::exception&) {                                    // no number
    }
    PyGILState_Release(state);
    return given;
  });
}

std::byte* allocate(int device, int64_t bytes) noexcept {
  return reinterpret_cast<std::byte*>(static_cast<uintptr_t>(ask(allocate_by, device, bytes)));
}

void release(std::byte* data) noexcept { ask(release_by, reinterpret_cast<uintptr_t>(data)); }

int64_t free_bytes(int device) noexcept { return static_cast<int64_t>(ask(free_by, device)); }

constexpr cuda::Lender kPython{allocate, release, free_bytes};

}  // namespace

void bind_lender(py::module_& module) {
  // (device, bytes) -> pointer or 0; (pointer) -> 0; (device) -> bytes.
  module.def("set_lender", [](py::object give, py::object take_back, py::object count) {
    Py_XSETREF(allocate_by, give.release().ptr());
    Py_XSETREF(release_by, take_back.release().ptr());
    Py_XSETREF(free_by, count.release().ptr());
    cuda::set_lender(&kPython);
  });
}

}  // namespace slim
