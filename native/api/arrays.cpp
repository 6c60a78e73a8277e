// What comes from NumPy, checked once at the door.
#include "api/arrays.h"

#include <pybind11/stl.h>

#include <cstring>
#include <map>
#include <set>
#include <stdexcept>

#include "api/lock.h"

namespace slim {
namespace {

SourceType type_of(const py::dtype& dtype, const std::string& name) {
  static const std::map<std::pair<char, int>, SourceType> types = {
      {{'f', 4}, SourceType::f32}, {{'f', 8}, SourceType::f64}, {{'i', 1}, SourceType::i8},
      {{'i', 2}, SourceType::i16}, {{'i', 4}, SourceType::i32}, {{'i', 8}, SourceType::i64},
      {{'u', 1}, SourceType::u8},  {{'u', 2}, SourceType::u16}, {{'b', 1}, SourceType::b8}};
  const auto found = types.find({dtype.kind(), static_cast<int>(dtype.itemsize())});
  const bool native = py::bool_(dtype.attr("isnative"));
  if (found == types.end() || !native) {
    throw py::value_error("source " + name + " has the type " +
                          py::str(py::object(dtype)).cast<std::string>() +
                          ": convert it to bool, uint8, uint16, int8, int16, int32, int64, "
                          "float32 or float64 of this machine's byte order");
  }
  return found->second;
}

double number_of(const std::string& name, const py::handle& value) {
  try {
    return py::cast<double>(value);
  } catch (const py::cast_error&) {
    throw py::type_error(name + " must be a number, got " + std::string(py::repr(value)));
  }
}

Numbers numbers_of(const py::dict& values) {
  Numbers numbers;
  for (const auto& [key, value] : values) {
    const auto name = std::string(py::str(key));
    numbers[name] = number_of("hyper " + name, value);
  }
  return numbers;
}

}  // namespace

namespace {

// One of a sparse matrix's three arrays, which the caller keeps alive.
py::array part_of(const py::handle& matrix, const char* part, const std::string& kinds,
                  const std::string& name) {
  const py::object object = matrix.attr(part);
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error("source " + name + ": its " + part + " must be a NumPy array");
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  const py::dtype dtype = array.dtype();
  const bool plain = array.ndim() == 1 && (array.flags() & py::array::c_style) &&
                     (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) &&
                     py::bool_(dtype.attr("isnative"));
  const bool sized = dtype.itemsize() == 4 || dtype.itemsize() == 8;
  if (plain && sized && kinds.find(dtype.kind()) != kinds.npos) return array;
  throw py::value_error("source " + name + ": its " + part + " is " +
                        py::str(py::object(dtype)).cast<std::string>() +
                        (plain ? "" : ", strided, unaligned or of another byte order") +
                        ": dataset.as_source converts it");
}

// A SciPy CSR matrix or array.
Source csr_source(const py::handle& matrix, const std::string& name,
                  std::vector<py::object>& lent) {
  Source source;
  source.name = name;
  const auto shape = py::cast<py::tuple>(matrix.attr("shape"));
  for (const auto& size : shape) source.shape.push_back(py::cast<int64_t>(size));
  const py::array values = part_of(matrix, "data", "f", name);
  const py::array columns = part_of(matrix, "indices", "i", name);
  const py::array offsets = part_of(matrix, "indptr", "i", name);
  if (source.shape.size() != 2 || source.shape[0] < 0 || offsets.size() != source.shape[0] + 1) {
    throw py::value_error("source " + name + ": indptr needs one element a row and one more, has " +
                          std::to_string(offsets.size()));
  }
  if (values.size() != columns.size()) {
    throw py::value_error("source " + name + ": data has " + std::to_string(values.size()) +
                          " elements, indices " + std::to_string(columns.size()));
  }
  CsrArrays csr;
  csr.values = static_cast<const std::byte*>(values.data());
  csr.columns = static_cast<const std::byte*>(columns.data());
  csr.offsets = static_cast<const std::byte*>(offsets.data());
  csr.dtype = values.itemsize() == 4 ? DType::f32 : DType::f64;
  csr.wide_columns = columns.itemsize() == 8;
  csr.wide_offsets = offsets.itemsize() == 8;
  csr.stored = values.size();
  source.csr.emplace(csr, source.shape[0], source.shape[1], "source " + name + ": ");
  for (const py::array& array : {values, columns, offsets}) lent.push_back(array);
  return source;
}

// Values and offsets of rows of different length: dataset.Ragged.
bool is_ragged(const py::handle& object) {
  return py::hasattr(object, "offsets") && py::hasattr(object, "sizes");
}

Source ragged_source(const py::handle& rows, const std::string& name,
                     std::vector<py::object>& lent) {
  const auto values = py::cast<py::array>(rows.attr("values"));
  const auto offsets = py::cast<py::array>(rows.attr("offsets"));
  const auto wrong = [&](const char* what) {
    return py::value_error("source " + name + ": " + what + ": dataset.Ragged makes it so");
  };
  if (values.ndim() < 1 || !(values.flags() & py::array::c_style)) {
    throw wrong("its values must be steps in C order");
  }
  const bool whole = offsets.ndim() == 1 && offsets.size() > 0 && offsets.itemsize() == 8 &&
                     offsets.dtype().kind() == 'i' && (offsets.flags() & py::array::c_style);
  if (!whole) throw wrong("its offsets must be int64, one more than rows");
  RaggedRows ragged;
  ragged.offsets = static_cast<const int64_t*>(offsets.data());
  ragged.sizes = py::cast<std::vector<int64_t>>(rows.attr("sizes"));
  ragged.padding = py::cast<double>(rows.attr("padding"));
  const int64_t count = offsets.size() - 1;
  bool rises = ragged.offsets[0] >= 0;
  for (int64_t row = 0; row < count; ++row) rises = rises && ragged.length(row) >= 0;
  if (!rises || ragged.offsets[count] > values.shape(0)) {
    throw wrong("its offsets must rise from 0 to the number of steps");
  }
  bool sizes = !ragged.sizes.empty() && ragged.sizes.size() <= 255 && ragged.sizes[0] >= 1;
  for (size_t i = 1; i < ragged.sizes.size(); ++i) {
    sizes = sizes && ragged.sizes[i - 1] < ragged.sizes[i];
  }
  if (!sizes) throw wrong("its sizes must be 1 to 255 rising numbers from 1 on");
  Source source;
  source.name = name;
  source.type = type_of(values.dtype(), name);
  source.data = static_cast<const std::byte*>(values.data());
  source.shape = {count, ragged.sizes.back()};
  source.shape.insert(source.shape.end(), values.shape() + 1, values.shape() + values.ndim());
  source.strides.assign(source.shape.size(), 0);
  source.ragged = std::move(ragged);
  lent.push_back(values);
  lent.push_back(offsets);
  return source;
}

// Places of numbers along curves: dataset's Coded.
bool is_coded(const py::handle& object) { return py::hasattr(object, "knots"); }

Source coded_source(const py::handle& rows, const std::string& name,
                    std::vector<py::object>& lent) {
  const auto codes = py::cast<py::array>(rows.attr("codes"));
  const auto knots = py::cast<py::array>(rows.attr("knots"));
  const auto plain = [](const py::array& array, char kind, py::ssize_t size, py::ssize_t axes) {
    return array.dtype().kind() == kind && array.itemsize() == size && array.ndim() == axes &&
           (array.flags() & py::array::c_style) && py::bool_(array.dtype().attr("isnative"));
  };
  if (!plain(codes, 'u', 2, 2) || !plain(knots, 'f', 4, 1)) {
    throw py::value_error("source " + name +
                          ": its codes must be uint16, its knots float32, in C order");
  }
  std::vector<Coded> numbers;
  using Places = std::vector<std::tuple<int64_t, int64_t, int64_t>>;
  for (const auto& [column, begin, bits] :
       py::cast<Places>(rows.attr("numbers").attr("tolist")())) {
    numbers.push_back({column, begin, bits});
  }
  Source source;
  source.name = name;
  source.shape = {codes.shape(0), static_cast<int64_t>(numbers.size())};
  source.strides = {0, 0};
  source.coded.emplace(static_cast<const uint16_t*>(codes.data()), codes.shape(0), codes.shape(1),
                       numbers, static_cast<const float*>(knots.data()), knots.size(),
                       "source " + name + ": ");
  lent.push_back(codes);
  lent.push_back(knots);
  return source;
}

bool is_resident(const py::handle& object) { return py::hasattr(object, "pointer"); }

bool is_csr(const py::handle& object) {
  return py::hasattr(object, "indptr") && py::hasattr(object, "format") &&
         py::isinstance<py::str>(object.attr("format")) &&
         py::cast<std::string>(object.attr("format")) == "csr";
}

// Whether the array that it is a view of goes on for long enough.
bool has_slack(const py::array& array, int64_t bytes) {
  const py::object base = array.base() ? array.base() : py::object(py::none());
  if (!py::isinstance<py::array>(base)) return false;
  const auto whole = py::reinterpret_borrow<py::array>(base);
  if (!(whole.flags() & py::array::c_style)) return false;
  const auto* end = static_cast<const std::byte*>(whole.data()) + whole.nbytes();
  return end - static_cast<const std::byte*>(array.data()) >= bytes + kAlignment;
}

}  // namespace

Source resident_source(const py::handle& array, const std::string& name) {
  Source source;
  source.name = name;
  source.type = type_of(py::cast<py::dtype>(array.attr("dtype")), name);
  source.data = reinterpret_cast<const std::byte*>(py::cast<uintptr_t>(array.attr("pointer")));
  source.shape = py::cast<std::vector<int64_t>>(array.attr("shape"));
  source.strides = py::cast<std::vector<int64_t>>(array.attr("strides"));
  source.resident = true;
  return source;
}

LentSources sources_of(const py::dict& arrays) {
  LentSources lent;
  for (const auto& [key, value] : arrays) {
    Source source;
    source.name = py::cast<std::string>(key);
    if (!py::isinstance<py::array>(value)) {
      if (is_resident(value)) {
        lent.sources.push_back(resident_source(value, source.name));
        lent.arrays.push_back(py::reinterpret_borrow<py::object>(value));
        continue;
      }
      if (is_ragged(value)) {
        lent.sources.push_back(ragged_source(value, source.name, lent.arrays));
        continue;
      }
      if (is_coded(value)) {
        lent.sources.push_back(coded_source(value, source.name, lent.arrays));
        continue;
      }
      if (!is_csr(value)) {
        throw py::type_error("source " + source.name +
                             " must be a NumPy array, a SciPy CSR matrix or dataset.Ragged");
      }
      lent.sources.push_back(csr_source(value, source.name, lent.arrays));
      continue;
    }
    const auto array = py::reinterpret_borrow<py::array>(value);
    source.type = type_of(array.dtype(), source.name);
    source.data = static_cast<const std::byte*>(array.data());
    source.shape.assign(array.shape(), array.shape() + array.ndim());
    source.strides.assign(array.strides(), array.strides() + array.ndim());
    lent.sources.push_back(std::move(source));
    lent.arrays.push_back(array);
  }
  return lent;
}

std::vector<uint32_t> index_of(const py::object& rows) {
  std::vector<uint32_t> index;
  if (rows.is_none()) return index;
  const char kind = py::array(rows).dtype().kind();
  const auto numbers = py::array_t<int64_t, py::array::c_style>::ensure(rows);
  if (!numbers || numbers.ndim() != 1 || kind == 'f' || kind == 'b') {
    PyErr_Clear();
    throw py::value_error("rows must be a list of row numbers");
  }
  index.reserve(static_cast<size_t>(numbers.size()));
  for (py::ssize_t i = 0; i < numbers.size(); ++i) {
    const int64_t row = numbers.data()[i];
    if (row < 0 || row > int64_t{UINT32_MAX}) {
      throw py::value_error("row " + std::to_string(row) + " lies outside the sources");
    }
    index.push_back(static_cast<uint32_t>(row));
  }
  return index;
}

std::byte* arena_of(const py::object& object, int64_t bytes, const char* what, bool writes) {
  if (object.is_none() && bytes == 0) return nullptr;
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(std::string(what) + " must be a NumPy array of uint8");
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  const bool plain =
      array.ndim() == 1 && array.itemsize() == 1 && (array.flags() & py::array::c_style);
  if (plain && writes && !array.writeable()) {
    throw py::value_error(std::string(what) +
                          " are read-only, as a fitted estimator's are, and would be written to: "
                          "Program.copy() has arrays of its own");
  }
  if (!plain || array.size() < bytes) {
    throw py::value_error(std::string(what) + " must be an array of " + std::to_string(bytes) +
                          " bytes, got " + std::to_string(array.nbytes()));
  }
  auto* data = static_cast<std::byte*>(const_cast<void*>(array.data()));
  if (bytes > 0 && !has_slack(array, bytes)) {
    throw py::value_error(std::string(what) + " must be the beginning of a larger array, as " +
                          std::to_string(kAlignment) +
                          " bytes behind it may be read: backend.arena.allocate makes such");
  }
  if (array.size() > 0 && reinterpret_cast<uintptr_t>(data) % kAlignment != 0) {
    throw py::value_error(std::string(what) + " must start at a multiple of 64 bytes");
  }
  return data;
}

Arrays arrays_of(const Model& model, const py::object& params, const py::object& state,
                 const py::object& gradient, const py::object& slots, bool writes) {
  const Layout& layout = model.layout();
  Arrays arrays;
  arrays.param = arena_of(params, layout.param_bytes, "params", writes);
  arrays.state = arena_of(state, layout.state_bytes, "state", writes);
  if (!gradient.is_none()) {
    arrays.gradient = arena_of(gradient, layout.param_bytes, "gradient");
  }
  if (!slots.is_none()) arrays.slot = arena_of(slots, layout.slot_bytes, "slots");
  return arrays;
}

std::vector<Scheduled> scheduled_of(const py::list& list) {
  std::vector<Scheduled> all;
  for (const auto& [name, column, base, scale] :
       py::cast<std::vector<std::tuple<std::string, int64_t, double, double>>>(list)) {
    all.push_back({column, name, base, scale});
  }
  return all;
}

Hypers hypers_of(const Model& model, const py::dict& values) {
  return hypers_of(model, numbers_of(values));
}

void require_hypers(const Model& model, const std::string& function, const py::dict& values) {
  require_hypers(model, function, numbers_of(values));
}

std::vector<Segment> segments_of(const py::list& list) {
  std::vector<Segment> segments;
  for (const auto& item : list) {
    const auto fields = py::cast<py::dict>(item);
    Segment segment;
    std::set<std::string> own;  // numbers of its optimizer
    if (fields.contains("hypers")) {
      for (const auto& [name, value] : py::cast<py::dict>(fields["hypers"])) {
        const auto hyper = py::cast<std::string>(name);
        segment.coefficients[hyper] = number_of("hyper " + hyper, value);
        own.insert(hyper);
      }
    }
    for (const auto& [key, value] : fields) {
      const auto name = py::cast<std::string>(key);
      if (name == "offset") {
        segment.offset = py::cast<int64_t>(value);
      } else if (name == "length") {
        segment.length = py::cast<int64_t>(value);
      } else if (name == "frozen") {
        segment.frozen = py::cast<bool>(value);
      } else if (name == "update") {
        segment.update = py::cast<int64_t>(value);
      } else if (name == "hypers") {
        continue;  // they are known
      } else if (name == "scheduled") {
        for (const auto& [hyper, column, scale] :
             py::cast<std::vector<std::tuple<std::string, int64_t, double>>>(value)) {
          const bool known = own.count(hyper) > 0;
          segment.scheduled.push_back({column, known ? hyper : "segment." + hyper, 0.0, scale});
        }
      } else {
        segment.coefficients["segment." + name] = number_of("segment " + name, value);
      }
    }
    segments.push_back(std::move(segment));
  }
  return segments;
}

py::array make_array(DType dtype, const std::vector<int64_t>& shape) {
  static const std::map<DType, const char*> names = {{DType::f32, "f4"}, {DType::f64, "f8"},
                                                     {DType::i32, "i4"}, {DType::i64, "i8"},
                                                     {DType::b8, "?"},   {DType::u8, "u1"}};
  return py::array(py::dtype(names.at(dtype)), shape);
}

bool signal_waits() {
  return python([] { return PyErr_CheckSignals() != 0; });
}

bool signal_came() {
  const Locked locked;
  return signal_waits();
}

}  // namespace slim
