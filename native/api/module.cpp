// The Python module: what it holds, and how native errors become Python's.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <new>
#include <stdexcept>

#include "api/api.h"
#include "api/custom.h"
#include "api/lender.h"
#include "api/lock.h"
#include "cuda/device.h"
#include "cuda/nvidia/library.h"
#include "kernels/kernel.h"
#include "runtime/call/packed.h"
#include "runtime/call/team.h"
#include "runtime/data/csr_source.h"
#include "runtime/device/device.h"
#include "runtime/plan/context_pool.h"

namespace py = pybind11;

PYBIND11_MODULE(_native, module) {
  module.doc() = "The native core of slimlearn; import slimlearn.backend.engine instead.";

  // Here, and not by the first call with an array: it waits for the interpreter's lock in a
  // destructor, which ends the process where the interpreter is ending (api/lock.h).
  py::detail::npy_api::get();

  // Invalid arguments and full memory have Python classes of their own already.
  static PyObject* error = PyErr_NewExceptionWithDoc(
      "slimlearn.NativeError",
      "What the native core refuses that is no ValueError, TypeError or MemoryError.",
      PyExc_RuntimeError, nullptr);
  module.attr("NativeError") = py::reinterpret_borrow<py::object>(error);
  py::register_local_exception_translator([](std::exception_ptr raised) {
    try {
      if (raised) std::rethrow_exception(raised);
    } catch (const py::builtin_exception&) {
      throw;
    } catch (const std::invalid_argument&) {
      throw;
    } catch (const std::runtime_error& problem) {
      PyErr_SetString(error, problem.what());
    } catch (const std::logic_error& problem) {
      PyErr_SetString(error, problem.what());
    }
  });

  slim::bind_model(module);
  slim::bind_predictor(module);
  slim::bind_tables(module);
  slim::bind_training(module);
  slim::bind_residents(module);
  slim::bind_tools(module);
  slim::bind_test_device(module);
  slim::bind_test_cupy(module);
  slim::bind_custom(module);
  slim::bind_lender(module);
  slim::bind_files(module);
  slim::cuda::offer_devices();
  module.def("set_nvidia_packages", &slim::cuda::nvidia::set_package_directories);
  module.def("best_isa", &slim::best_isa);
  module.def("has_isa", [](const std::string& isa) { return slim::cpu_device(isa) != nullptr; });
  module.def("devices", &slim::Device::names);
  module.def("has_device", &slim::Device::has);
  module.def("describe_device",
             [](const std::string& name) { return slim::Device::find(name).description(); });
  module.def("absent_devices", &slim::Device::absent);
  module.def("allocations", &slim::Arena::allocations);
  module.def("csr_checks", &slim::CsrRows::checks);
  module.def("parallel_regions", &slim::parallel_regions);
  module.def("idle_bytes", &slim::ContextPool::idle_bytes);
  module.def("packed_bytes", &slim::PackedArrays::kept_bytes);
  module.def("free_idle", [] {
    const slim::Unlocked unlocked;
    slim::ContextPool::free_idle();
    slim::PackedArrays::free_all();
  });
}
