// Puts a program's arenas into a container, and takes them out of an untrusted one.
#include "file/model_file.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "file/checksum.h"
#include "file/json.h"
#include "ir/text.h"

namespace slim {
namespace {

constexpr const char* kFormat = "2";
constexpr std::string_view kFurther = "#array/";

std::string hash_of(const std::byte* data, int64_t bytes) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx",
                static_cast<unsigned long long>(checksum(data, bytes)));
  return text;
}

std::string hash_of(const std::string& text) {
  return hash_of(reinterpret_cast<const std::byte*>(text.data()),
                 static_cast<int64_t>(text.size()));
}

const char* word_of(DType dtype) {
  constexpr const char* kWords[] = {"F32", "F64", "I32", "I64", "BOOL", "U8"};
  return kWords[static_cast<size_t>(dtype)];
}

// An array that the program declares, and where it lies.
struct Declared {
  StoredArray array;  // without data
  Base base;
  int64_t offset;
};

std::vector<Declared> declared_by(const Program& program, const Layout& layout) {
  std::vector<Declared> all;
  const auto& declarations = program.declarations;
  // All of one kind, in the arena that begins at `base` + `start`.
  const auto add = [&](DeclarationKind kind, Base base, int64_t start, const std::string& suffix) {
    for (size_t i = 0; i < declarations.size(); ++i) {
      if (declarations[i].kind != kind) continue;
      const Layout::Place& place = layout.places[i];
      std::vector<int64_t> shape;
      for (const Dim& dim : declarations[i].type.dims) shape.push_back(dim.evaluate({}));
      all.push_back({{declarations[i].name + suffix, word_of(place.dtype), std::move(shape),
                      nullptr, place.bytes},
                     base,
                     start + place.offset});
    }
  };
  add(DeclarationKind::param, Base::param, 0, "");
  add(DeclarationKind::state, Base::state, 0, "");
  for (size_t i = 0; i < declarations.size(); ++i) {
    if (declarations[i].kind != DeclarationKind::slot) continue;
    add(DeclarationKind::param, Base::slot, layout.places[i].offset, '#' + declarations[i].name);
  }
  return all;
}

void require_bytes(const char* what, std::span<const std::byte> arena, int64_t bytes) {
  if (static_cast<int64_t>(arena.size()) == bytes) return;
  throw std::invalid_argument(std::string(what) + " must be " + std::to_string(bytes) +
                              " bytes, got " + std::to_string(arena.size()));
}

Container container_of(const ModelContent& content) {
  const Program program = parse(content.text);
  const Layout layout(program);
  require_bytes("params", content.params, layout.param_bytes);
  require_bytes("state", content.state, layout.state_bytes);
  if (!content.slots.empty()) require_bytes("slots", content.slots, layout.slot_bytes);
  const std::map<Base, std::span<const std::byte>> arenas = {
      {Base::param, content.params}, {Base::state, content.state}, {Base::slot, content.slots}};
  Container container;
  for (Declared& declared : declared_by(program, layout)) {
    const std::span<const std::byte> arena = arenas.at(declared.base);
    if (arena.empty() && declared.base == Base::slot) continue;
    declared.array.data = arena.data() + declared.offset;
    container.arrays.push_back(std::move(declared.array));
  }
  for (StoredArray array : content.further) {
    array.name.insert(0, kFurther);
    container.arrays.push_back(std::move(array));
  }
  std::string sums =
      "{\"#program\":\"" + hash_of(content.text) + "\",\"#meta\":\"" + hash_of(content.meta) + '"';
  if (!content.fit.empty()) sums += ",\"#fit\":\"" + hash_of(content.fit) + '"';
  for (const StoredArray& array : container.arrays) {
    sums += ',' + print_string(array.name) + ":\"" + hash_of(array.data, array.bytes) + '"';
  }
  container.metadata = {{"slimlearn.format", kFormat},
                        {"slimlearn.program", content.text},
                        {"slimlearn.meta", content.meta},
                        {"slimlearn.checksums", sums + '}'}};
  if (!content.fit.empty()) container.metadata["slimlearn.fit"] = content.fit;
  return container;
}

void check_input(JsonReader& json) {
  bool named = false;
  json.object([&](const std::string& key) {
    named = named || key == "name";
    if (key == "name" || key == "source" || key == "type") {
      json.string();
    } else if (key == "columns") {
      json.array([&] { json.string(); });
    } else {
      json.refuse("an input has the unknown key " + key);
    }
  });
  if (!named) json.refuse("an input has no name");
}

// Of content that is to be written or was read.
void check_json(const ModelContent& content) {
  JsonReader meta(content.meta);
  meta.object([&](const std::string& key) {
    if (key != "inputs") meta.refuse("the unknown key " + key);
    meta.array([&] { check_input(meta); });
  });
  meta.end();
  if (content.fit.empty()) return;
  JsonReader fit(content.fit);
  fit.object([&](const std::string&) { fit.any(); });
  fit.end();
}

// The metadata's strings that are ours, by the end of their names.
std::map<std::string, std::string> own_strings(const Container& container) {
  constexpr std::string_view kOwn = "slimlearn.";
  std::map<std::string, std::string> own;
  for (const auto& [key, value] : container.metadata) {
    if (key.compare(0, kOwn.size(), kOwn) == 0) own[key.substr(kOwn.size())] = value;
  }
  const auto format = own.find("format");
  if (format == own.end()) {
    throw std::invalid_argument(
        "this is no saved slimlearn program: a safetensors file without slimlearn.format in its "
        "metadata");
  }
  if (format->second != kFormat) {
    throw std::invalid_argument("saved with file format " + printable(format->second) +
                                ", this slimlearn reads 1 and 2: upgrade slimlearn");
  }
  for (const auto& [key, value] : own) {
    if (key != "format" && key != "program" && key != "meta" && key != "fit" &&
        key != "checksums") {
      damaged("its metadata has the unknown key slimlearn." + printable(key));
    }
  }
  for (const char* key : {"program", "meta", "checksums"}) {
    if (own.count(key) == 0) damaged(std::string("its metadata lacks slimlearn.") + key);
  }
  return own;
}

std::map<std::string, std::string> checksums_of(const std::string& text) {
  std::map<std::string, std::string> sums;
  try {
    JsonReader json(text);
    json.object([&](const std::string& key) { sums[key] = json.string(); });
    json.end();
  } catch (const std::invalid_argument& error) {
    damaged("in its checksums, " + printable(error.what()));
  }
  return sums;
}

void compare(const StoredArray& found, const StoredArray& wanted) {
  if (found.dtype == wanted.dtype && found.shape == wanted.shape) return;
  const auto show = [](const StoredArray& array) {
    std::string text = array.dtype + '[';
    for (size_t i = 0; i < array.shape.size(); ++i) {
      text += (i > 0 ? "," : "") + std::to_string(array.shape[i]);
    }
    return text + ']';
  };
  damaged("the array " + wanted.name + " is " + show(found) + ", its program declares " +
          show(wanted));
}

bool is_zero(const std::byte* begin, const std::byte* end) {
  return std::all_of(begin, end, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

std::string to_bytes(const ModelContent& content) {
  check_json(content);
  const Container container = container_of(content);
  std::string header, bytes;
  for (const std::string_view piece : container.pieces(header)) bytes += piece;
  return bytes;
}

void save(const ModelContent& content, const std::string& path) {
  check_json(content);
  const Container container = container_of(content);
  std::string header;
  write_file(path, container.pieces(header));
}

std::shared_ptr<const ModelFile> ModelFile::open(const std::string& path) {
  try {
    return std::make_shared<const ModelFile>(Mapping::of_file(path));
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(path + ": " + error.what());
  }
}

ModelFile::ModelFile(Mapping mapping)
    : mapping_(std::move(mapping)),
      container_(Container::read(
          {reinterpret_cast<const char*>(mapping_.data()), static_cast<size_t>(mapping_.size())})) {
  auto own = own_strings(container_);
  auto sums = checksums_of(own["checksums"]);
  const auto check = [&](const std::string& name, const std::string& hash) {
    const auto sum = sums.find(name);
    if (sum == sums.end()) damaged("there is no checksum of " + name);
    if (sum->second != hash) damaged("the checksum of " + name + " differs");
    sums.erase(sum);
  };
  for (const char* part : {"program", "meta", "fit"}) {
    if (own.count(part) > 0) check(std::string("#") + part, hash_of(own[part]));
  }
  std::map<std::string, const StoredArray*> by_name;
  for (const StoredArray& array : container_.arrays) {
    check(array.name, hash_of(array.data, array.bytes));
    by_name[array.name] = &array;
    const auto is_bool = [](std::byte b) { return b <= std::byte{1}; };
    if (array.dtype == "BOOL" && !std::all_of(array.data, array.data + array.bytes, is_bool)) {
      damaged("the array " + array.name + " holds what is neither true nor false");
    }
  }
  if (!sums.empty()) damaged("the array " + printable(sums.begin()->first) + " is missing");

  content_.text = std::move(own["program"]);
  content_.meta = std::move(own["meta"]);
  content_.fit = std::move(own["fit"]);
  check_json(content_);
  const Program program = parse(content_.text);
  layout_ = std::make_unique<Layout>(program);
  std::map<Base, std::vector<Part>> parts;
  bool all_slots = true;
  for (const Declared& declared : declared_by(program, *layout_)) {
    const auto found = by_name.find(declared.array.name);
    if (found == by_name.end()) {
      if (declared.base != Base::slot) damaged("the array " + declared.array.name + " is missing");
      all_slots = false;
      continue;
    }
    compare(*found->second, declared.array);
    parts[declared.base].push_back({found->second, declared.offset});
    by_name.erase(found);
  }
  if (!all_slots && !parts[Base::slot].empty())
    damaged("some of its optimizer's arrays are missing");
  for (const StoredArray& array : container_.arrays) {
    if (by_name.count(array.name) == 0) continue;
    if (array.name.compare(0, kFurther.size(), kFurther) != 0) {
      damaged("its program does not declare the array " + array.name);
    }
    content_.further.push_back(array);
    content_.further.back().name.erase(0, kFurther.size());
  }
  content_.params = arena(parts[Base::param], layout_->param_bytes);
  content_.state = arena(parts[Base::state], layout_->state_bytes);
  if (!parts[Base::slot].empty()) content_.slots = arena(parts[Base::slot], layout_->slot_bytes);
}

bool ModelFile::lies_as(const std::vector<Part>& parts, int64_t bytes) const {
  const std::byte* const base = parts.front().array->data;
  const std::byte* const end = mapping_.data() + mapping_.size();
  if (reinterpret_cast<uintptr_t>(base) % kAlignment != 0 || end - base < bytes + kAlignment) {
    return false;
  }
  const std::byte* at = base;
  for (const Part& part : parts) {
    if (part.array->data != base + part.offset || !is_zero(at, part.array->data)) return false;
    at = part.array->data + part.array->bytes;
  }
  return is_zero(at, base + bytes);
}

std::span<std::byte> ModelFile::arena(const std::vector<Part>& parts, int64_t bytes) {
  if (bytes == 0) return {};
  const auto size = static_cast<size_t>(bytes);
  if (lies_as(parts, bytes)) {
    return {mapping_.data() + (parts.front().array->data - mapping_.data()), size};
  }
  std::byte* const fresh = copies_.emplace_back(bytes).data();
  for (const Part& part : parts) {
    if (part.array->bytes == 0) continue;
    std::memcpy(fresh + part.offset, part.array->data, static_cast<size_t>(part.array->bytes));
  }
  return {fresh, size};
}

}  // namespace slim
