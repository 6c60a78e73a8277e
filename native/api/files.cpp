// Binds the model file: bytes and arenas in, bytes and lent arenas out.
#include <pybind11/stl.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <tuple>

#include "api/api.h"
#include "api/arrays.h"
#include "api/lock.h"
#include "file/checksum.h"
#include "file/model_file.h"
#include "file/sha256.h"

namespace slim {
namespace {

// NumPy's kind and size of each word of the container.
const std::map<std::string, std::string>& numpy_types() {
  static const std::map<std::string, std::string> types = {
      {"BOOL", "|b1"}, {"U8", "|u1"},  {"I8", "|i1"},  {"U16", "<u2"},
      {"I16", "<i2"},  {"F16", "<f2"}, {"U32", "<u4"}, {"I32", "<i4"},
      {"F32", "<f4"},  {"U64", "<u8"}, {"I64", "<i8"}, {"F64", "<f8"}};
  return types;
}

std::string word_of(const py::array& array) {
  const auto type = py::cast<std::string>(array.dtype().attr("str"));
  for (const auto& [word, numpy] : numpy_types()) {
    if (numpy == type) return word;
  }
  throw py::value_error("a file holds no arrays of type " + type +
                        ": convert it to bool, an integer or a float of at most 64 bits");
}

// Of whole, contiguous uint8 arrays.
std::span<std::byte> span_of(const py::object& object, const char* what) {
  if (object.is_none()) return {};
  if (!py::isinstance<py::array>(object)) {
    throw py::type_error(std::string(what) + " must be a NumPy array of uint8");
  }
  const auto array = py::reinterpret_borrow<py::array>(object);
  if (array.ndim() != 1 || array.itemsize() != 1 || !(array.flags() & py::array::c_style)) {
    throw py::value_error(std::string(what) + " must be a contiguous array of uint8");
  }
  return {static_cast<std::byte*>(const_cast<void*>(array.data())),
          static_cast<size_t>(array.size())};
}

[[noreturn]] void raise(const FileError& error) {
  errno = error.code;
  PyErr_SetFromErrnoWithFilename(PyExc_OSError, error.path.c_str());
  throw py::error_already_set();
}

py::bytes joined(const std::vector<std::string_view>& pieces) {
  size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  const auto bytes = py::reinterpret_steal<py::bytes>(
      PyBytes_FromStringAndSize(nullptr, static_cast<py::ssize_t>(size)));
  if (!bytes) throw py::error_already_set();
  char* at = PyBytes_AS_STRING(bytes.ptr());
  for (const std::string_view piece : pieces) at = std::copy(piece.begin(), piece.end(), at);
  return bytes;
}

// Of a function that takes bytes and may keep them: some at a time, as there may be many.
void hand_over(const std::vector<std::string_view>& pieces, const py::object& take) {
  constexpr size_t kMost = 16 << 20;
  std::string chunk;
  for (std::string_view piece : pieces) {
    while (!piece.empty()) {
      const std::string_view part = piece.substr(0, kMost - chunk.size());
      chunk += part;
      piece.remove_prefix(part.size());
      if (chunk.size() < kMost) continue;
      take(py::bytes(chunk));
      chunk.clear();
    }
  }
  take(py::bytes(chunk));
}

// To a path, or to a function that takes bytes; returned where `to` is None. Of each program text,
// params, state, slots.
py::object write(const py::object& to, const py::list& programs, std::string meta, std::string fit,
                 std::string estimator, const py::dict& further, std::string outputs) {
  ModelContent content{{}, std::move(meta),   std::move(fit), std::move(estimator),
                       {}, std::move(outputs)};
  for (const py::handle program : programs) {
    const auto [text, params, state, slots] =
        py::cast<std::tuple<std::string, py::object, py::object, py::object>>(program);
    content.programs.push_back(
        {text, span_of(params, "params"), span_of(state, "state"), span_of(slots, "slots")});
  }
  std::vector<py::array> kept;
  for (const auto& [name, value] : further) {
    const auto array = py::array::ensure(value, py::array::c_style);
    if (!array) throw py::error_already_set();
    kept.push_back(array);
    content.further.push_back({py::cast<std::string>(name), word_of(array),
                               std::vector<int64_t>(array.shape(), array.shape() + array.ndim()),
                               static_cast<const std::byte*>(array.data()), array.nbytes()});
  }
  if (to.is_none() || PyCallable_Check(to.ptr()) != 0) {
    py::object bytes = py::none();
    with_pieces(content, [&](const auto& pieces) {
      if (to.is_none()) {
        bytes = joined(pieces);
      } else {
        hand_over(pieces, to);
      }
    });
    return bytes;
  }
  const auto name = py::cast<std::string>(to);
  try {
    const Unlocked unlocked;
    save(content, name);
  } catch (const FileError& error) {
    raise(error);
  }
  return py::none();
}

// uint8, with slack behind it that belongs to its base; the file lives as long.
py::object lent(std::span<std::byte> arena, const py::capsule& file) {
  if (arena.empty()) return py::none();
  const auto bytes = static_cast<py::ssize_t>(arena.size());
  const py::array whole(py::dtype("u1"), {bytes + kAlignment}, {1}, arena.data(), file);
  return whole[py::slice(0, bytes, 1)];
}

// (programs, meta, fit, estimator, further, is it newer); programs as in `write`, with None for
// an arena of no bytes.
py::tuple read(std::shared_ptr<ModelFile> file) {
  const ModelContent& content = file->content();
  if (!content.programs.empty()) file->take_program();  // Python compiles the text
  using Kept = std::shared_ptr<const ModelFile>;
  const py::capsule keep(new Kept(file), [](void* kept) { delete static_cast<Kept*>(kept); });
  py::dict further;
  for (const StoredArray& array : content.further) {
    further[py::str(array.name)] =
        py::array(py::dtype(numpy_types().at(array.dtype)), array.shape, array.data);
  }
  py::list programs;
  for (const StoredProgram& program : content.programs) {
    programs.append(py::make_tuple(program.text, lent(program.params, keep),
                                   lent(program.state, keep), lent(program.slots, keep)));
  }
  return py::make_tuple(programs, content.meta, content.fit, content.estimator, further,
                        file->is_newer());
}

py::tuple read_file(const std::string& path, bool sealed) {
  std::shared_ptr<ModelFile> file;
  try {
    const Unlocked unlocked;
    file = ModelFile::open(path, sealed);
  } catch (const FileError& error) {
    raise(error);
  }
  return read(std::move(file));
}

py::tuple read_bytes(const py::bytes& bytes, bool sealed) {
  return read(std::make_shared<ModelFile>(Mapping::of_bytes(std::string_view(bytes)), sealed));
}

// Any file, whole or not at all.
void write_bytes(const std::string& path, const py::bytes& bytes) {
  try {
    const std::string_view view(bytes);
    const Unlocked unlocked;
    write_file(path, {view});
  } catch (const FileError& error) {
    raise(error);
  }
}

}  // namespace

void bind_files(py::module_& module) {
  module.def("write_file", &write_bytes);
  module.def("write_model", &write);
  module.def("read_model", &read_file);
  module.def("read_model_bytes", &read_bytes);
  module.def("checksum", [](const py::bytes& bytes) {
    const std::string_view view(bytes);
    return checksum(reinterpret_cast<const std::byte*>(view.data()),
                    static_cast<int64_t>(view.size()));
  });
  module.def("sha256", [](const std::vector<std::string>& parts, bool portable) {
    Sha256 sum(portable);
    for (const std::string& part : parts) sum.add(part);
    return sum.digits();
  });
}

}  // namespace slim
