// What the tests' fake of CuPy does on the emulated device: memory, streams, kernels.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <map>
#include <string>
#include <vector>

#include "api/api.h"
#include "cuda/device.h"
#include "cuda/emulated/machine.h"

namespace py = pybind11;

namespace slim {
namespace {

cuda::Driver& driver_of(const std::string& name) {
  return dynamic_cast<const cuda::CudaDevice&>(Device::find(name)).driver();
}

template <class T>
T* pointer(uintptr_t handle) {
  return reinterpret_cast<T*>(handle);
}

// The context of a device, as CuPy makes it current.
class Inside {
 public:
  explicit Inside(const std::string& name) {
    api.cuCtxGetCurrent(&before_);
    cuda::nvidia::ContextHandle own = nullptr;
    api.cuDevicePrimaryCtxRetain(&own, driver_of(name).properties().number);
    api.cuCtxSetCurrent(own);
  }
  ~Inside() { api.cuCtxSetCurrent(before_); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

  static void require(cuda::nvidia::Result result) {
    if (result != 0) throw std::runtime_error("CUDA's result " + std::to_string(result));
  }

  const cuda::nvidia::DriverApi& api = cuda::emulated_api();

 private:
  cuda::nvidia::ContextHandle before_ = nullptr;
};

cuda::nvidia::StreamHandle stream_of(uintptr_t handle) {
  return pointer<cuda::nvidia::StreamOf>(handle);
}

// It stays as long as the process.
uintptr_t open_stream(const std::string& name) {
  const Inside inside(name);
  cuda::nvidia::StreamHandle stream = nullptr;
  Inside::require(inside.api.cuStreamCreate(&stream, 0));
  return reinterpret_cast<uintptr_t>(stream);
}

void wait(const std::string& name, uintptr_t stream) {
  const Inside inside(name);
  Inside::require(inside.api.cuStreamSynchronize(stream_of(stream)));
}

void copy(const std::string& name, uintptr_t stream, uintptr_t to, uintptr_t from, int64_t bytes) {
  const Inside inside(name);
  Inside::require(
      inside.api.cuMemcpyAsync(to, from, static_cast<size_t>(bytes), stream_of(stream)));
}

// What is on one of them from here on runs after what is on the other.
void follow(const std::string& name, uintptr_t stream, uintptr_t other) {
  const Inside inside(name);
  cuda::nvidia::EventHandle event = nullptr;
  Inside::require(inside.api.cuEventCreate(&event, 0));
  Inside::require(inside.api.cuEventRecord(event, stream_of(other)));
  Inside::require(inside.api.cuStreamWaitEvent(stream_of(stream), event, 0));
  inside.api.cuEventDestroy_v2(event);
}

// DLPack's capsule of an array that looks like one of NumPy's and lies elsewhere.
py::capsule capsule(const py::array& like, uintptr_t data, py::object owner) {
  struct Managed {  // as dlpack.h has it
    void* data;
    int32_t device_kind, device_number, axes;
    uint8_t code, bits;
    uint16_t lanes;
    int64_t *shape, *strides;
    uint64_t offset;
    void* context;
    void (*deleter)(Managed*);
    std::vector<int64_t> sizes, steps;
    py::object owner;
  };
  const std::string kinds = "iufXXXb";
  const py::ssize_t size = like.itemsize();
  auto managed = std::make_unique<Managed>();
  managed->sizes.assign(like.shape(), like.shape() + like.ndim());
  for (py::ssize_t i = 0; i < like.ndim(); ++i) managed->steps.push_back(like.strides(i) / size);
  managed->data = pointer<void>(data);
  managed->device_kind = 2;
  managed->axes = static_cast<int32_t>(like.ndim());
  managed->code = static_cast<uint8_t>(kinds.find(like.dtype().kind()));
  managed->bits = static_cast<uint8_t>(8 * size);
  managed->lanes = 1;
  managed->shape = managed->sizes.data();
  managed->strides = managed->steps.data();
  managed->owner = std::move(owner);
  return py::capsule(managed.release(), "dltensor", [](PyObject* object) {
    delete static_cast<Managed*>(PyCapsule_GetPointer(object, "dltensor"));
  });
}

// Kernel k0 of the source, which takes these bytes as a struct.
void launch(const std::string& name, uintptr_t stream, const std::string& source, int64_t blocks,
            int threads, const std::string& arguments) {
  static auto& all = *new std::map<std::string, cuda::nvidia::FunctionHandle>;
  const Inside inside(name);
  cuda::nvidia::FunctionHandle& function = all[source];
  if (function == nullptr) {
    cuda::nvidia::ModuleHandle module = nullptr;
    Inside::require(inside.api.cuModuleLoadData(&module, cuda::compile_on_host(source).c_str()));
    Inside::require(inside.api.cuModuleGetFunction(&function, module, "k0"));
  }
  std::vector<std::max_align_t> aligned(arguments.size() / sizeof(std::max_align_t) + 1);
  arguments.copy(reinterpret_cast<char*>(aligned.data()), arguments.size());
  size_t bytes = arguments.size();
  void* extra[] = {reinterpret_cast<void*>(1), aligned.data(), reinterpret_cast<void*>(2), &bytes,
                   nullptr};
  Inside::require(inside.api.cuLaunchKernel(function, static_cast<unsigned int>(blocks), 1, 1,
                                            static_cast<unsigned int>(threads), 1, 1, 0,
                                            stream_of(stream), nullptr, extra));
}

}  // namespace

void bind_test_cupy(py::module_& module) {
  module.def("emulated_allocate", [](const std::string& name, int64_t bytes) {
    return reinterpret_cast<uintptr_t>(driver_of(name).allocate_own(bytes));
  });
  module.def("emulated_release", [](const std::string& name, uintptr_t data) {
    driver_of(name).release_own(pointer<std::byte>(data));
  });
  module.def("emulated_stream", &open_stream);
  module.def("emulated_wait", &wait);
  module.def("emulated_copy", &copy);
  module.def("emulated_follow", &follow);
  module.def("emulated_capsule", &capsule);
  // The number of the GPU that is current to other libraries; -1: none is.
  module.def("emulated_current", [] {
    cuda::nvidia::ContextHandle current = nullptr;
    cuda::emulated_api().cuCtxGetCurrent(&current);
    return current == nullptr ? -1 : current->gpu.number;
  });
  module.def("emulated_launch", &launch);
}

}  // namespace slim
