// Puts a program's arenas into a container, and takes them out of an untrusted one.
#include "file/model_file.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <future>
#include <set>
#include <stdexcept>
#include <utility>

#include "file/checksum.h"
#include "file/digest.h"
#include "file/json.h"
#include "file/outputs.h"
#include "ir/text.h"

namespace slim {
namespace {

constexpr const char* kFormat = "2";
constexpr int kMinor = 3;
constexpr std::string_view kFurther = "#array/";
constexpr std::string_view kProgram = "program";
constexpr size_t kMostPrograms = 100'000;
constexpr size_t kLongestEstimator = 16 << 20;
constexpr int64_t kMostValues = 1'000'000;
constexpr size_t kLarge = 1 << 20;  // bytes that are worth a thread

// What stands before the names of a program's arrays, and behind the key of its text.
std::string prefix_of(size_t number) {
  return number == 0 ? "" : '#' + std::to_string(number) + '/';
}
std::string key_of(size_t number) {
  return std::string(kProgram) + (number == 0 ? "" : '.' + std::to_string(number));
}

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

std::vector<Declared> declared_by(const Program& program, const Layout& layout,
                                  const std::string& prefix) {
  std::vector<Declared> all;
  const auto& declarations = program.declarations;
  // All of one kind, in the arena that begins at `base` + `start`.
  const auto add = [&](DeclarationKind kind, Base base, int64_t start, const std::string& suffix) {
    for (size_t i = 0; i < declarations.size(); ++i) {
      if (declarations[i].kind != kind) continue;
      const Layout::Place& place = layout.places[i];
      std::vector<int64_t> shape;
      for (const Dim& dim : declarations[i].type.dims) shape.push_back(dim.evaluate({}));
      all.push_back({{prefix + declarations[i].name + suffix, word_of(place.dtype),
                      std::move(shape), nullptr, place.bytes},
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

void add_program(Container& container, const StoredProgram& stored, const std::string& prefix) {
  const Program program = parse(stored.text);
  const Layout layout(program);
  require_bytes("params", stored.params, layout.param_bytes);
  require_bytes("state", stored.state, layout.state_bytes);
  if (!stored.slots.empty()) require_bytes("slots", stored.slots, layout.slot_bytes);
  const std::map<Base, std::span<const std::byte>> arenas = {
      {Base::param, stored.params}, {Base::state, stored.state}, {Base::slot, stored.slots}};
  for (Declared& declared : declared_by(program, layout, prefix)) {
    const std::span<const std::byte> arena = arenas.at(declared.base);
    if (arena.empty() && declared.base == Base::slot) continue;
    declared.array.data = arena.data() + declared.offset;
    container.arrays.push_back(std::move(declared.array));
  }
}

Container container_of(const ModelContent& content) {
  Container container;
  std::string sums = "{";
  const auto add_sum = [&](const std::string& name, const std::string& hash) {
    sums += (sums.size() > 1 ? "," : "") + print_string(name) + ":\"" + hash + '"';
  };
  const auto add_text = [&](const std::string& key, const std::string& text) {
    add_sum('#' + key, hash_of(text));
    container.metadata["slimlearn." + key] = text;
  };
  for (size_t i = 0; i < content.programs.size(); ++i) {
    add_program(container, content.programs[i], prefix_of(i));
    add_text(key_of(i), content.programs[i].text);
  }
  add_text("meta", content.meta);
  if (!content.fit.empty()) add_text("fit", content.fit);
  if (!content.estimator.empty()) add_text("estimator", content.estimator);
  if (!content.outputs.empty()) add_text("outputs", content.outputs);
  for (StoredArray array : content.further) {
    array.name.insert(0, kFurther);
    container.arrays.push_back(std::move(array));
  }
  for (const StoredArray& array : container.arrays) {
    add_sum(array.name, hash_of(array.data, array.bytes));
  }
  container.metadata["slimlearn.format"] = std::string(kFormat) + '.' + std::to_string(kMinor);
  container.metadata["slimlearn.checksums"] = sums + '}';
  container.metadata[std::string(kDigestKey)] = no_digest();
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
  const auto check_object = [](const std::string& text, int64_t most) {
    JsonReader json(text, most);
    json.object([&](const std::string&) { json.any(); });
    json.end();
  };
  if (!content.fit.empty()) check_object(content.fit, 10 * kMostValues);
  if (content.estimator.size() > kLongestEstimator) {
    throw std::invalid_argument("what the file tells of the estimator is longer than 16 MB");
  }
  if (!content.estimator.empty()) check_object(content.estimator, kMostValues);
  if (!content.outputs.empty()) Outputs::read(content.outputs);
}

// Whether the file is of a later version that this one may read.
bool check_format(const std::string& format) {
  const std::string begin = std::string(kFormat) + '.';
  if (format == kFormat) return false;
  if (format.compare(0, begin.size(), begin) == 0 && format.size() < begin.size() + 7) {
    const std::string_view minor = std::string_view(format).substr(begin.size());
    int number = 0;
    const auto [end, error] = std::from_chars(minor.data(), minor.data() + minor.size(), number);
    if (error == std::errc() && end == minor.data() + minor.size() && number > 0 &&
        minor[0] != '0') {
      return number > kMinor;
    }
  }
  throw std::invalid_argument("saved with file format " + printable(format) +
                              ", this slimlearn reads 1 and 2: upgrade slimlearn");
}

// The metadata's strings that are ours, by the end of their names.
std::map<std::string, std::string> own_strings(const Container& container, bool& is_newer) {
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
  is_newer = check_format(format->second);
  size_t programs = 0;
  while (own.count(key_of(programs)) > 0) ++programs;
  if (programs > kMostPrograms) damaged("it has more than 100,000 programs");
  std::set<std::string> known = {"format",  "meta",      "fit",   "estimator",
                                 "outputs", "checksums", "sha256"};
  for (size_t i = 0; i < programs; ++i) known.insert(key_of(i));
  for (const auto& [key, value] : own) {
    if (known.count(key) == 0 && !is_newer) {
      damaged("its metadata has the unknown key slimlearn." + printable(key));
    }
  }
  if (own.count("estimator") == 0 && programs == 0) {
    damaged("its metadata lacks slimlearn.program");
  }
  for (const char* key : {"meta", "checksums"}) {
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

const StoredProgram& ModelContent::program() const {
  if (programs.empty()) {
    throw std::invalid_argument("the file holds an estimator without a network, and no program");
  }
  return programs.front();
}

void with_pieces(const ModelContent& content,
                 const std::function<void(const std::vector<std::string_view>&)>& take) {
  check_json(content);
  const Container container = container_of(content);
  std::string header;
  const auto pieces = container.pieces(header);
  seal(header, digest_of(pieces));
  take(pieces);
}

void save(const ModelContent& content, const std::string& path) {
  check_json(content);
  const Container container = container_of(content);
  std::string header;
  const auto pieces = container.pieces(header);
  // Made while the disk takes a large file; where no thread can be had, after that.
  size_t size = 0;
  for (const std::string_view piece : pieces) size += piece.size();
  const auto meanwhile = std::launch::async | std::launch::deferred;
  auto digest = std::async(size < kLarge ? std::launch::deferred : meanwhile,
                           [&] { return digest_of(pieces); });
  write_file(path, pieces, [&] { seal(header, digest.get()); });
}

std::shared_ptr<ModelFile> ModelFile::open(const std::string& path, bool sealed) {
  try {
    return std::make_shared<ModelFile>(Mapping::of_file(path), sealed);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(path + ": " + error.what());
  }
}

ModelFile::ModelFile(Mapping mapping, bool sealed)
    : mapping_(std::move(mapping)), container_(Container::read(mapping_.bytes())) {
  auto own = own_strings(container_, is_newer_);
  const std::string& digest = own["sha256"];
  if (!digest.empty()) require_digits(digest);
  if (sealed) require_digest(mapping_.bytes(), digest);
  auto sums = checksums_of(own["checksums"]);
  const auto check = [&](const std::string& name, const std::string& hash) {
    const auto sum = sums.find(name);
    if (sum == sums.end()) damaged("there is no checksum of " + name);
    if (sum->second != hash) damaged("the checksum of " + name + " differs");
    sums.erase(sum);
  };
  const auto take = [&](const std::string& key) {
    const auto found = own.find(key);
    if (found == own.end()) return std::string();
    check('#' + key, hash_of(found->second));
    return std::move(found->second);
  };
  while (own.count(key_of(content_.programs.size())) > 0) {
    content_.programs.push_back({take(key_of(content_.programs.size())), {}, {}, {}});
  }
  content_.meta = take("meta");
  content_.fit = take("fit");
  content_.estimator = take("estimator");
  content_.outputs = take("outputs");
  ByName by_name;
  for (const StoredArray& array : container_.arrays) {
    check(array.name, hash_of(array.data, array.bytes));
    by_name[array.name] = &array;
    const auto is_bool = [](std::byte b) { return b <= std::byte{1}; };
    if (array.dtype == "BOOL" && !std::all_of(array.data, array.data + array.bytes, is_bool)) {
      damaged("the array " + array.name + " holds what is neither true nor false");
    }
  }
  if (!sums.empty() && !is_newer_) {
    damaged("the array " + printable(sums.begin()->first) + " is missing");
  }
  check_json(content_);
  for (size_t i = 0; i < content_.programs.size(); ++i) {
    read_program(content_.programs[i], prefix_of(i), by_name);
  }
  for (const StoredArray& array : container_.arrays) {
    if (by_name.count(array.name) == 0) continue;
    if (array.name.compare(0, kFurther.size(), kFurther) != 0) {
      if (is_newer_) continue;
      damaged("its program does not declare the array " + array.name);
    }
    content_.further.push_back(array);
    content_.further.back().name.erase(0, kFurther.size());
  }
}

Program ModelFile::take_program() {
  content_.program();
  Program program = std::move(first_.value());
  first_.reset();
  return program;
}

void ModelFile::read_program(StoredProgram& stored, const std::string& prefix, ByName& arrays) {
  Program program = parse(stored.text);
  const Layout layout(program);
  std::map<Base, std::vector<Part>> parts;
  bool all_slots = true;
  for (const Declared& declared : declared_by(program, layout, prefix)) {
    const auto found = arrays.find(declared.array.name);
    if (found == arrays.end()) {
      if (declared.base != Base::slot) damaged("the array " + declared.array.name + " is missing");
      all_slots = false;
      continue;
    }
    compare(*found->second, declared.array);
    parts[declared.base].push_back({found->second, declared.offset});
    arrays.erase(found);
  }
  if (!all_slots && !parts[Base::slot].empty()) {
    damaged("some of its optimizer's arrays are missing");
  }
  stored.params = arena(parts[Base::param], layout.param_bytes);
  stored.state = arena(parts[Base::state], layout.state_bytes);
  if (!parts[Base::slot].empty()) stored.slots = arena(parts[Base::slot], layout.slot_bytes);
  if (&stored == &content_.programs.front()) first_ = std::move(program);
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
