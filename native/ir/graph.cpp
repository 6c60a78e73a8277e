// Types and names: the few functions of the program's data structure.
#include "ir/graph.h"

namespace slim {

int64_t size_of(DType dtype) {
  constexpr int64_t kSizes[] = {4, 8, 4, 8, 1, 1, 2, 2};
  return kSizes[static_cast<size_t>(dtype)];
}

const char* name_of(DType dtype) {
  constexpr const char* kNames[] = {"f32", "f64", "i32", "i64", "bool", "u8", "bf16", "f16"};
  return kNames[static_cast<size_t>(dtype)];
}

const char* name_of(Compute compute) {
  constexpr const char* kNames[] = {"", "bfloat16", "float16"};
  return kNames[static_cast<int>(compute)];
}

const char* name_of(Storage storage) {
  constexpr const char* kNames[] = {"", "csr", "rows"};
  return kNames[static_cast<size_t>(storage)];
}

std::string to_string(const Type& type) {
  std::string text = name_of(type.storage);
  if (!text.empty()) text += ' ';
  text += name_of(type.dtype);
  text += '[';
  for (size_t i = 0; i < type.dims.size(); ++i) {
    if (i > 0) text += ',';
    text += type.dims[i].str();
  }
  return text + ']';
}

Attributes::Attributes(Map map) {
  if (!map.empty()) map_ = std::make_shared<const Map>(std::move(map));
}

Attributes Attributes::with(const std::string& key, Attribute value) const {
  Map changed = map();
  changed[key] = std::move(value);
  return changed;
}

const Attributes::Map& Attributes::map() const {
  static const Map& none = *new Map;  // never ends: a thread may outlive it at exit
  return map_ != nullptr ? *map_ : none;
}

ValueId Graph::add_value(std::string name, Type type) {
  values.push_back({std::move(name), std::move(type)});
  return static_cast<ValueId>(values.size() - 1);
}

const Function* Program::find(const std::string& name) const {
  for (const Function& function : functions) {
    if (function.name == name) return &function;
  }
  return nullptr;
}

}  // namespace slim
