// What stands in a capsule: the structs of DLPack's header dlpack.h, as far as they are read.
#include "api/dlpack.h"

#include <pybind11/stl.h>

#include <cstdint>
#include <cstring>
#include <vector>

namespace py = pybind11;

namespace slim {
namespace {

struct Tensor {
  void* data;
  int32_t device_kind, device_number;
  int32_t axes;
  uint8_t code, bits;
  uint16_t lanes;
  int64_t* shape;
  int64_t* strides;  // in numbers; null: C order
  uint64_t offset;   // bytes
};

// Of a capsule "dltensor"; one that is "dltensor_versioned" is not asked for.
constexpr char kName[] = "dltensor";

// By the codes: integers, unsigned ones, floats, and from 6 on bool.
char letter(const Tensor& tensor) {
  constexpr char kLetters[] = {'i', 'u', 'f', 0, 0, 0, 'b'};
  const bool known = tensor.code < sizeof kLetters && tensor.lanes == 1 && tensor.bits % 8 == 0;
  return known ? kLetters[tensor.code] : '\0';
}

}  // namespace

py::tuple read_dlpack(const py::capsule& capsule) {
  if (capsule.name() == nullptr || std::strcmp(capsule.name(), kName) != 0) {
    throw py::type_error("__dlpack__ gave no capsule of the name dltensor");
  }
  const auto& tensor = *capsule.get_pointer<Tensor>();
  const char kind = letter(tensor);
  if (kind == '\0') {
    throw py::value_error("numbers of DLPack's type (" + std::to_string(tensor.code) + ", " +
                          std::to_string(tensor.bits) + ") are not read on a GPU");
  }
  const int64_t size = tensor.bits / 8;
  std::vector<int64_t> shape(tensor.shape, tensor.shape + tensor.axes), strides(shape.size());
  int64_t packed = size;
  for (size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = tensor.strides != nullptr ? tensor.strides[axis] * size : packed;
    packed *= shape[axis];
  }
  const auto pointer = reinterpret_cast<uintptr_t>(tensor.data) + tensor.offset;
  return py::make_tuple(pointer, py::tuple(py::cast(shape)), py::tuple(py::cast(strides)),
                        std::string(1, kind), size);
}

}  // namespace slim
