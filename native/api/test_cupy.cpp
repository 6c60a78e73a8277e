// What the tests' fake of CuPy does on the emulated device: memory, streams, kernels.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <map>
#include <string>
#include <vector>

#include "api/api.h"
#include "cuda/device.h"

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

// One of the device's own, which stays as long as the process.
uintptr_t open_stream(const std::string& name) {
  cuda::Driver& driver = driver_of(name);
  cuda::Stream* stream = driver.open_stream().release();
  return reinterpret_cast<uintptr_t>(driver.handle(*stream));
}

void wait(const std::string& name, uintptr_t stream) {
  driver_of(name).wait(*pointer<cuda::Stream>(stream));
}

void copy(const std::string& name, uintptr_t stream, uintptr_t to, uintptr_t from, int64_t bytes) {
  driver_of(name).copy(*pointer<cuda::Stream>(stream), pointer<std::byte>(to),
                       pointer<std::byte>(from), bytes);
}

// What is on one of them from here on runs after what is on the other.
void follow(const std::string& name, uintptr_t stream, uintptr_t other) {
  static auto& events = *new std::vector<std::unique_ptr<cuda::Event>>;
  cuda::Driver& driver = driver_of(name);
  events.push_back(driver.open_event());
  driver.mark(*events.back(), *pointer<cuda::Stream>(other));
  driver.follow(*pointer<cuda::Stream>(stream), *events.back());
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
  struct Loaded {
    std::unique_ptr<cuda::Module> module;
    std::unique_ptr<cuda::Kernel> kernel;
  };
  static auto& all = *new std::map<std::string, Loaded>;  // streams may have them yet
  cuda::Driver& driver = driver_of(name);
  const cuda::Grid grid{blocks, threads};
  Loaded& loaded = all[source];
  if (loaded.kernel == nullptr) {
    loaded.module = driver.compile(source);
    loaded.kernel = loaded.module->kernel("k0", grid);
  }
  std::vector<std::max_align_t> aligned(arguments.size() / sizeof(std::max_align_t) + 1);
  arguments.copy(reinterpret_cast<char*>(aligned.data()), arguments.size());
  driver.launch(*pointer<cuda::Stream>(stream), *loaded.kernel, grid, aligned.data(),
                arguments.size());
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
  module.def("emulated_launch", &launch);
}

}  // namespace slim
