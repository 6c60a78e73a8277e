// Reads and writes the header of a safetensors file; every number in it is checked.
#include "file/container.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "file/json.h"
#include "ir/text.h"
#include "kernels/kernel.h"

namespace slim {
namespace {

constexpr int64_t kMaxHeader = 100'000'000;  // the safetensors package reads no longer one
constexpr std::string_view kPadding = "#padding/";
constexpr char kZeros[2 * kAlignment] = {};

[[noreturn]] void cut_short(const char* what, int64_t needed, int64_t left) {
  throw std::invalid_argument("the saved program is cut short: its " + std::string(what) + " need" +
                              " " + std::to_string(needed) + " bytes, " + std::to_string(left) +
                              " are left; copy or save the file again");
}

struct Span {
  int64_t begin = 0;
  int64_t end = 0;
};

void read_array(JsonReader& json, StoredArray& array, Span& span) {
  int keys = 0;
  json.object([&](const std::string& key) {
    ++keys;
    if (key == "dtype") {
      array.dtype = json.string();
    } else if (key == "shape") {
      json.array([&] { array.shape.push_back(json.whole()); });
    } else if (key == "data_offsets") {
      std::vector<int64_t> offsets;
      json.array([&] { offsets.push_back(json.whole()); });
      if (offsets.size() != 2) json.refuse(array.name + " needs two offsets");
      span = {offsets[0], offsets[1]};
    } else {
      json.refuse(array.name + " has the unknown key " + key);
    }
  });
  if (keys != 3) json.refuse(array.name + " needs dtype, shape and data_offsets");
}

int64_t size_of(const StoredArray& array) {
  int64_t bytes = element_bytes(array.dtype);
  if (bytes == 0) damaged(array.name + " has the unknown type " + array.dtype);
  if (array.shape.size() > reading::kMaxRank) damaged(array.name + " has more than 8 axes");
  for (const int64_t extent : array.shape) {
    if (__builtin_mul_overflow(bytes, extent, &bytes)) {
      damaged(array.name + " is larger than any memory");
    }
  }
  return bytes;
}

void refuse_unless_zero(const StoredArray& array) {
  const auto* begin = array.data;
  if (std::any_of(begin, begin + array.bytes, [](std::byte b) { return b != std::byte{0}; })) {
    damaged("the bytes between its arrays are not zero");
  }
}

bool is_padding(const StoredArray& array) {
  return std::string_view(array.name).substr(0, kPadding.size()) == kPadding;
}

}  // namespace

void damaged(const std::string& how) {
  throw std::invalid_argument("the saved program is damaged: " + how +
                              "; copy or save the file again");
}

std::string printable(std::string_view text) {
  std::string shown(text);
  for (char& c : shown) {
    if (c < ' ' || c > '~') c = '?';
  }
  return shown;
}

int64_t element_bytes(std::string_view dtype) {
  static const auto& sizes = *new std::map<std::string_view, int64_t>{
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"U16", 2}, {"I16", 2}, {"F16", 2},
      {"U32", 4},  {"I32", 4}, {"F32", 4}, {"U64", 8}, {"I64", 8}, {"F64", 8}};
  const auto found = sizes.find(dtype);
  return found != sizes.end() ? found->second : 0;
}

Container Container::read(std::string_view file) {
  const auto size = static_cast<int64_t>(file.size());
  uint64_t length = 0;
  if (size < 8) cut_short("first number", 8, size);
  std::memcpy(&length, file.data(), 8);
  if (size > 8 && file[8] != '{') {
    throw std::invalid_argument(
        "this is no saved slimlearn program: it begins neither with 'slimlearn program' nor as "
        "a safetensors file");
  }
  if (length > kMaxHeader) damaged("its header is longer than 100 MB");
  if (static_cast<int64_t>(length) > size - 8) {
    cut_short("header", static_cast<int64_t>(length), size - 8);
  }

  Container container;
  std::vector<std::pair<Span, StoredArray>> found;
  try {
    JsonReader json(file.substr(8, length));
    json.object([&](const std::string& key) {
      if (key == "__metadata__") {
        json.object([&](const std::string& name) { container.metadata[name] = json.string(); });
        return;
      }
      auto& [span, array] = found.emplace_back();
      array.name = key;
      read_array(json, array, span);
    });
    json.end();
  } catch (const std::invalid_argument& error) {
    damaged("in its header, " + printable(error.what()));
  }

  const std::string_view data = file.substr(8 + length);
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first.begin, a.first.end) < std::pair(b.first.begin, b.first.end);
  });
  int64_t end = 0;
  for (auto& [span, array] : found) {
    array.name = printable(array.name);
    if (span.begin != end || span.end < span.begin) {
      damaged("its array " + array.name + " does not begin where the one before it ends");
    }
    end = span.end;
    array.bytes = size_of(array);
    if (array.bytes != span.end - span.begin) {
      damaged("its array " + array.name + " is not as long as its shape says");
    }
  }
  if (end > static_cast<int64_t>(data.size())) {
    cut_short("arrays", end, static_cast<int64_t>(data.size()));
  }
  if (end < static_cast<int64_t>(data.size())) {
    throw std::invalid_argument(std::to_string(static_cast<int64_t>(data.size()) - end) +
                                " bytes too many after the saved program");
  }
  for (auto& [span, array] : found) {
    array.data = reinterpret_cast<const std::byte*>(data.data()) + span.begin;
    if (!is_padding(array)) {
      container.arrays.push_back(std::move(array));
    } else {
      refuse_unless_zero(array);
    }
  }
  return container;
}

std::vector<std::string_view> Container::pieces(std::string& header) const {
  std::string json = "{\"__metadata__\":{";
  for (const auto& [key, value] : metadata) {
    if (json.back() != '{') json += ',';
    json += print_string(key) + ':' + print_string(value);
  }
  json += '}';
  std::vector<std::string_view> pieces(1);
  int64_t end = 0;
  const auto add = [&](const StoredArray& array) {
    json += ',' + print_string(array.name) + ":{\"dtype\":\"" + array.dtype + "\",\"shape\":[";
    for (size_t i = 0; i < array.shape.size(); ++i) {
      json += (i > 0 ? "," : "") + std::to_string(array.shape[i]);
    }
    json += "],\"data_offsets\":[" + std::to_string(end) + ',';
    end += array.bytes;
    json += std::to_string(end) + "]}";
    pieces.emplace_back(reinterpret_cast<const char*>(array.data),
                        static_cast<size_t>(array.bytes));
  };
  int64_t paddings = 0;
  const auto pad = [&](int64_t bytes) {
    if (bytes == 0) return;
    const auto* zeros = reinterpret_cast<const std::byte*>(kZeros);
    add({std::string(kPadding) + std::to_string(paddings++), "U8", {bytes}, zeros, bytes});
  };
  for (size_t i = 0; i < arrays.size(); ++i) {
    add(arrays[i]);
    const int64_t gap = (kAlignment - end % kAlignment) % kAlignment;
    pad(i + 1 < arrays.size() ? gap : gap + kAlignment);
  }
  json += '}';
  json.append((kAlignment - (json.size() + 8) % kAlignment) % kAlignment, ' ');
  if (static_cast<int64_t>(json.size()) > kMaxHeader) {
    throw std::invalid_argument("the program's text is longer than a file holds: 100 MB");
  }
  const auto length = static_cast<uint64_t>(json.size());
  header.resize(8);
  std::memcpy(header.data(), &length, 8);
  header += json;
  pieces[0] = header;
  return pieces;
}

}  // namespace slim
