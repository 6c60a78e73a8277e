// Binds what is done with arrays on a GPU that others own: found, waited for, looked at, copied.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "api/api.h"
#include "api/arrays.h"
#include "api/dlpack.h"
#include "api/lock.h"
#include "cuda/device.h"

namespace slim {
namespace {

// Null: no GPU.
const cuda::CudaDevice* gpu_of(const std::string& name) {
  return dynamic_cast<const cuda::CudaDevice*>(&Device::find(name));
}

const cuda::CudaDevice& require_gpu(const std::string& name) {
  const cuda::CudaDevice* gpu = gpu_of(name);
  if (gpu == nullptr) throw std::invalid_argument(name + " is no GPU");
  gpu->attempt()->check();
  return *gpu;
}

// An array's type, as kernels write it: of those that the runtime reads, and some that it does not.
std::string type_of(const py::dtype& dtype) {
  static const std::map<std::pair<char, int>, std::string> types = {
      {{'f', 2}, "slim::Half"},   {{'f', 4}, "float"},    {{'f', 8}, "double"},
      {{'i', 1}, "signed char"},  {{'i', 2}, "short"},    {{'i', 4}, "int32_t"},
      {{'i', 8}, "int64_t"},      {{'u', 1}, "uint8_t"},  {{'u', 2}, "unsigned short"},
      {{'u', 4}, "unsigned int"}, {{'u', 8}, "uint64_t"}, {{'b', 1}, "uint8_t"}};
  const auto found = types.find({dtype.kind(), static_cast<int>(dtype.itemsize())});
  if (found == types.end()) {
    throw py::type_error("arrays of " + py::str(py::object(dtype)).cast<std::string>() +
                         " are not read on a GPU");
  }
  return found->second;
}

struct ResidentArray {
  explicit ResidentArray(const py::handle& array)
      : dtype(py::cast<py::dtype>(array.attr("dtype"))) {
    type = type_of(dtype);
    rows.data = reinterpret_cast<const std::byte*>(py::cast<uintptr_t>(array.attr("pointer")));
    const auto shape = py::cast<std::vector<int64_t>>(array.attr("shape"));
    const auto strides = py::cast<std::vector<int64_t>>(array.attr("strides"));
    if (shape.empty() || shape.size() > cuda::StridedRows::kAxes ||
        shape.size() != strides.size()) {
      throw std::invalid_argument("an array on a GPU has 1 to 8 axes");
    }
    rows.rows = shape[0];
    rows.row_stride = strides[0];
    for (size_t axis = 1; axis < shape.size(); ++axis) rows.add_axis(shape[axis], strides[axis]);
  }

  py::dtype dtype;
  std::string type;
  cuda::StridedRows rows;
};

// Memory of the device that ends with its last owner.
struct Held {
  cuda::Piece<std::byte> piece;
};

// (whether all numbers are finite, the least and the largest that are).
std::tuple<bool, double, double> look(const std::string& device, const py::handle& array) {
  const ResidentArray given(array);
  const cuda::CudaDevice& gpu = require_gpu(device);
  const auto attempt = gpu.attempt();
  cuda::Seen seen;
  {
    const Unlocked unlocked;
    seen = gpu.residents().look(given.type, given.rows);
  }
  attempt->check();
  return {seen.finite != 0, seen.least, seen.most};
}

// Some rows, or all, as numbers of a type, one after the other in memory of their own.
std::unique_ptr<Held> copied(const std::string& device, const py::handle& array,
                             const py::dtype& dtype, const py::object& index) {
  const ResidentArray given(array);
  const std::vector<uint32_t> rows = index_of(index);
  for (const uint32_t row : rows) {
    if (row >= given.rows.rows) throw py::index_error("row " + std::to_string(row));
  }
  const std::string to = type_of(dtype);
  const bool same = given.dtype.equal(dtype);
  const std::string kind = dtype.kind() == 'b' ? "slim::Truth" : to;
  const cuda::CudaDevice& gpu = require_gpu(device);
  const auto attempt = gpu.attempt();
  auto held = std::make_unique<Held>();
  {
    const Unlocked unlocked;
    cuda::Residents& residents = gpu.residents();
    // Numbers that stay what they are go as whole words: there is no other Half.
    const std::string word = same && to == "slim::Half" ? "unsigned short" : "";
    const cuda::Kernel& copying = word.empty() ? residents.copying(given.type, kind, to)
                                               : residents.copying(word, word, word);
    held->piece = residents.copied(copying, given.rows, dtype.itemsize(), rows);
  }
  attempt->check();
  return held;
}

// Numbers that lie one after the other, to the host.
void fetch_packed(const std::string& device, uintptr_t from, py::array to) {
  const cuda::CudaDevice& gpu = require_gpu(device);
  const auto attempt = gpu.attempt();
  auto* data = static_cast<std::byte*>(to.mutable_data());
  const int64_t bytes = to.nbytes();
  {
    const Unlocked unlocked;
    gpu.memory().to_host(data, reinterpret_cast<const std::byte*>(from), bytes);
  }
  attempt->check();
}

void wait_for(const std::string& device, uintptr_t stream) {
  const cuda::CudaDevice& gpu = require_gpu(device);
  const Unlocked unlocked;
  gpu.driver().wait_for(reinterpret_cast<void*>(stream));
}

// PyTorch refuses an array of another GPU than the current one, and CuPy waits for that one's
// stream.
py::object dlpack(const std::string& device, const py::object& array, uintptr_t stream) {
  py::object capsule;
  require_gpu(device).driver().inside(
      [&] { capsule = array.attr("__dlpack__")(py::arg("stream") = stream); });
  return capsule;
}

}  // namespace

void bind_residents(py::module_& module) {
  py::class_<Held>(module, "Held").def_property_readonly("pointer", [](const Held& held) {
    return reinterpret_cast<uintptr_t>(held.piece.data());
  });
  // Whether a pointer is of a GPU's memory; false for the processor.
  module.def("gpu_holds", [](const std::string& device, uintptr_t pointer) {
    const cuda::CudaDevice* gpu = gpu_of(device);
    return gpu != nullptr && gpu->holds(reinterpret_cast<const std::byte*>(pointer));
  });
  // As CUDA counts them; -1: it is no GPU.
  module.def("gpu_number", [](const std::string& device) {
    const cuda::CudaDevice* gpu = gpu_of(device);
    return gpu == nullptr ? -1 : gpu->driver().properties().number;
  });
  // The handle of a stream on which others may say when an array is complete.
  module.def("gpu_stream", [](const std::string& device) {
    const cuda::CudaDevice& gpu = require_gpu(device);
    return reinterpret_cast<uintptr_t>(gpu.driver().handle(gpu.residents().stream()));
  });
  module.def("gpu_wait_for", &wait_for);
  module.def("gpu_dlpack", &dlpack);
  module.def("gpu_look", &look);
  module.def("gpu_copied", &copied);
  module.def("gpu_fetch", &fetch_packed);
  // (pointer, shape, strides in bytes, kind and size of a number) of a capsule, which stays owner.
  module.def("read_dlpack", &read_dlpack);
}

}  // namespace slim
