// Loads, describes and saves models for slim.h, and reads the arrays that callers bring.
#include "api/c/model.h"

#include <algorithm>
#include <iterator>

#include "file/json.h"
#include "file/mapping.h"
#include "ir/cursor.h"

using slim::Outputs;

namespace {

constexpr const char* kRaw = "program/";

// {"inputs": [{"name", "source", "type", "columns"}]}, which was checked when it was read.
void read_columns(slim_model& model) {
  slim::JsonReader json(model.file->content().meta);
  json.object([&](const std::string&) {
    json.array([&] {
      std::string source, type;
      std::vector<std::string> names;
      json.object([&](const std::string& key) {
        if (key == "columns") {
          json.array([&] { names.push_back(json.string()); });
        } else {
          const std::string value = json.string();
          if (key == "source") source = value;
          if (key == "type") type = value;
        }
      });
      if (!names.empty()) model.columns[source] = std::move(names);
      if (type.empty() || source.empty()) return;
      const std::vector<slim::Dim> dims = slim::reading::Cursor(type, 1).type().dims;
      const int64_t width = dims.size() > 1 ? dims[1].constant().value_or(0) : 0;
      if (width > 0 && width <= INT32_MAX) model.widths[source] = width;
    });
  });
}

// What an estimator's file lacks for methods in C.
[[noreturn]] void refuse_method(const slim_model& model, const std::string& name) {
  std::string known;
  for (const auto& [method, made] : model.methods) known += (known.empty() ? "" : ", ") + method;
  std::string why = "there is no method " + name + ": the model has " + known;
  const slim::ModelContent& content = model.file->content();
  if (!content.estimator.empty() && content.outputs.empty()) {
    why +=
        "; what is around its network in Python, such as a pipeline's other steps, has no form "
        "here: save the network's estimator alone, by this version or a newer one";
  }
  throw std::invalid_argument(why);
}

int64_t extent_of(const slim::Dim& dim) {
  if (const auto constant = dim.constant()) return *constant;
  return dim.mentions("B") ? SLIM_ROWS : SLIM_OPEN;
}

slim_value value_of(const slim::Type& type) {
  slim_value value = {};
  value.type = slim::c::type_of(type.dtype);
  value.sparse = type.storage == slim::Storage::csr;
  value.rank = type.dims.size();
  for (size_t i = 0; i < value.rank; ++i) value.shape[i] = extent_of(type.dims[i]);
  return value;
}

// Of a function: its sources in the order in which it reads them.
std::vector<slim_value> inputs_of(const slim_model& model, const slim::Function& function) {
  std::vector<slim_value> inputs;
  for (const slim::Node& node : function.graph.nodes) {
    if (node.op != "input") continue;
    const auto& source = std::get<std::string>(node.attributes.at("source"));
    const auto same = [&](const slim_value& known) { return source == known.name; };
    const slim::Type& type = function.graph.values[static_cast<size_t>(node.results[0])].type;
    slim_value value = value_of(type);
    value.name = source.c_str();
    const auto columns = node.attributes.find("columns");
    if (columns != node.attributes.end() && value.rank > 1) {
      value.shape[1] = std::get<std::vector<int64_t>>(columns->second).at(1);
    }
    const auto known = std::find_if(inputs.begin(), inputs.end(), same);
    if (known == inputs.end()) {
      inputs.push_back(value);
    } else if (value.rank > 1 && known->rank > 1) {
      known->shape[1] = std::max(known->shape[1], value.shape[1]);
    }
  }
  for (slim_value& value : inputs) {
    const auto wide = model.widths.find(value.name);
    if (wide != model.widths.end() && value.rank > 1) value.shape[1] = wide->second;
  }
  return inputs;
}

std::vector<slim_value> outputs_of(const slim_model& model, const Outputs::Method& method) {
  const slim::Graph& graph = model.model->function(method.function).graph;
  std::vector<slim_value> outputs;
  for (const slim::ValueId id : graph.returns) {
    outputs.push_back(value_of(graph.values[static_cast<size_t>(id)].type));
  }
  if (method.step == Outputs::Step::none) return outputs;
  slim_value& value = outputs.at(0);
  value.type = model.outputs.is_classifier() ? SLIM_I64 : SLIM_F64;
  value.rank = 1;
  for (const int64_t extent : model.outputs.shape_of(method.step)) {
    value.shape[value.rank++] = extent;
  }
  return outputs;
}

template <class List>
slim_status tell(const slim_model* model, const char* method, size_t index, slim_value* value,
                 const List& list) {
  return slim::c::guarded([&] {
    slim::c::require(model != nullptr, "model");
    slim::c::require(method != nullptr, "method");
    slim::c::require(value != nullptr, "value");
    const std::vector<slim_value> all = list(model->method(method));
    if (index >= all.size()) {
      throw std::invalid_argument(std::string(method) + " has " + std::to_string(all.size()) +
                                  " of these, and none of number " + std::to_string(index));
    }
    *value = all[index];
  });
}

void load(slim::Mapping mapping, const slim_limits* limits, slim_model** model) {
  const slim_limits known = limits != nullptr ? *limits : slim_limits{};
  auto file = std::make_shared<slim::ModelFile>(std::move(mapping), known.sha256 != 0);
  *model = new slim_model(std::move(file), known);
}

int64_t most_bytes(const slim_limits* limits) {
  return limits != nullptr && limits->file_bytes > 0 ? limits->file_bytes : INT64_MAX;
}

}  // namespace

slim_model::slim_model(std::shared_ptr<slim::ModelFile> opened, const slim_limits& limits)
    : limits(limits),
      file(opened),
      model(std::make_shared<const slim::Model>(opened->take_program(), "cpu", true)) {
  int64_t nodes = 0;
  for (const slim::Function& function : model->program().functions) {
    slim::walk(function.graph, [&](const slim::Graph&, const slim::Node&) { ++nodes; });
    methods[kRaw + function.name] = {function.name};
  }
  if (limits.nodes > 0 && nodes > limits.nodes) {
    throw std::invalid_argument("the program computes " + std::to_string(nodes) +
                                " nodes, the limit is " + std::to_string(limits.nodes));
  }
  read_columns(*this);
  const slim::ModelContent& content = file->content();
  if (content.estimator.empty()) {
    for (const slim::Function& function : model->program().functions) {
      methods[function.name] = {function.name};
    }
  } else if (!content.outputs.empty()) {
    outputs = Outputs::read(content.outputs);
    for (auto& [name, method] : outputs.methods(model->has("predict_proba"))) {
      const slim::Graph& graph = model->function(method.function).graph;
      const slim::Type* type = nullptr;
      if (graph.returns.size() == 1) type = &graph.values[graph.returns[0]].type;
      int64_t numbers = 1;
      for (size_t i = 1; type != nullptr && i < type->dims.size(); ++i) {
        numbers *= type->dims[i].constant().value_or(0);
      }
      const bool fits = method.step == Outputs::Step::none || numbers == outputs.numbers();
      if (type == nullptr || type->dtype != slim::DType::f64 || type->dims.empty() || !fits) {
        slim::damaged("its outputs are not those of its program");
      }
      methods[name] = method;
    }
  }
}

slim::Arrays slim_model::arrays() const {
  slim::Arrays lent;
  lent.param = stored().params.data();
  lent.state = stored().state.data();
  return lent;
}

const Outputs::Method& slim_model::method(const std::string& name) const {
  const auto found = methods.find(name);
  if (found == methods.end()) refuse_method(*this, name);
  return found->second;
}

namespace slim::c {
namespace {

thread_local std::string message;

}  // namespace

slim_status failed(slim_status status, const char* why) noexcept {
  try {
    message = why;
  } catch (...) {
    message.clear();
  }
  return status;
}

void require(bool given, const char* what) {
  if (!given) throw std::invalid_argument(std::string(what) + " is NULL");
}

slim_type type_of(DType dtype) {
  constexpr slim_type kTypes[] = {SLIM_F32, SLIM_F64, SLIM_I32, SLIM_I64, SLIM_BOOL, SLIM_U8};
  return kTypes[static_cast<size_t>(dtype)];
}

void check(const slim_array& array) {
  const auto refuse = [&](const char* why) {
    throw std::invalid_argument("source " + std::string(array.name ? array.name : "?") + why);
  };
  if (array.shape == nullptr && array.rank > 0) refuse(": its shape is NULL");
  if (static_cast<unsigned>(array.type) > SLIM_BOOL) refuse(" has an unknown type");
  if (array.rank > SLIM_MAX_RANK) refuse(" has more than 8 axes");
  int64_t bytes = bytes_of(static_cast<SourceType>(array.type));
  bool fits = true;
  for (size_t axis = array.rank; axis-- > 0;) {
    fits =
        fits && array.shape[axis] >= 0 && !__builtin_mul_overflow(bytes, array.shape[axis], &bytes);
  }
  if (!fits) refuse(" has an impossible shape");
  if (array.csr == nullptr) {
    if (array.data == nullptr && bytes != 0) refuse(": its data is NULL");
    return;
  }
  const slim_csr& csr = *array.csr;
  if (array.rank != 2) refuse(" has sparse rows, and not two axes");
  if (array.type != SLIM_F32 && array.type != SLIM_F64) {
    refuse(" has sparse rows whose elements are neither SLIM_F32 nor SLIM_F64");
  }
  for (const slim_type type : {csr.column_type, csr.offset_type}) {
    if (type != SLIM_I32 && type != SLIM_I64) {
      refuse(" has columns or offsets that are neither SLIM_I32 nor SLIM_I64");
    }
  }
  if (csr.offsets == nullptr) refuse(": its offsets are NULL");
  const bool empty = csr_of(array, array.shape[0]).stored == 0;
  if (!empty && (csr.columns == nullptr || array.data == nullptr)) {
    refuse(": its data or its columns are NULL");
  }
}

CsrArrays csr_of(const slim_array& array, int64_t rows) {
  CsrArrays csr;
  csr.values = static_cast<const std::byte*>(array.data);
  csr.columns = static_cast<const std::byte*>(array.csr->columns);
  csr.offsets = static_cast<const std::byte*>(array.csr->offsets);
  csr.dtype = array.type == SLIM_F32 ? DType::f32 : DType::f64;
  csr.wide_columns = array.csr->column_type == SLIM_I64;
  csr.wide_offsets = array.csr->offset_type == SLIM_I64;
  csr.stored = csr.wide_offsets ? static_cast<const int64_t*>(array.csr->offsets)[rows]
                                : static_cast<const int32_t*>(array.csr->offsets)[rows];
  return csr;
}

std::vector<Source> sources_of(const slim_array* arrays, size_t count) {
  require(arrays != nullptr || count == 0, "sources");
  std::vector<Source> sources;
  for (size_t i = 0; i < count; ++i) {
    const slim_array& array = arrays[i];
    require(array.name != nullptr, "a source's name");
    check(array);
    Source source;
    source.name = array.name;
    source.type = static_cast<SourceType>(array.type);
    source.data = static_cast<const std::byte*>(array.data);
    source.shape.assign(array.shape, array.shape + array.rank);
    source.strides.resize(array.rank);
    int64_t stride = bytes_of(source.type);
    for (size_t axis = array.rank; axis-- > 0;) {
      source.strides[axis] = stride;
      stride *= source.shape[axis];
    }
    if (array.csr != nullptr) {
      const int64_t rows = source.shape[0];
      source.csr.emplace(csr_of(array, rows), rows, source.shape[1],
                         "source " + source.name + ": ");
    }
    sources.push_back(std::move(source));
  }
  return sources;
}

void refuse_bad_data(uint32_t status) {
  if ((status & (kBadIndex | kBadLabel)) == 0) return;
  throw std::invalid_argument("the data has labels or indices that are out of range");
}

}  // namespace slim::c

int slim_api_version() { return SLIM_API_VERSION; }

const char* slim_message() { return slim::c::message.c_str(); }

slim_status slim_load(const char* path, const slim_limits* limits, slim_model** model) {
  return slim::c::guarded([&] {
    slim::c::require(path != nullptr, "path");
    slim::c::require(model != nullptr, "model");
    *model = nullptr;
    try {
      load(slim::Mapping::of_file(path, most_bytes(limits)), limits, model);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument(std::string(path) + ": " + error.what());
    }
  });
}

slim_status slim_load_memory(const void* bytes, size_t size, const slim_limits* limits,
                             slim_model** model) {
  return slim::c::guarded([&] {
    slim::c::require(bytes != nullptr, "bytes");
    slim::c::require(model != nullptr, "model");
    *model = nullptr;
    slim::Mapping::refuse_over(static_cast<int64_t>(size), most_bytes(limits));
    load(slim::Mapping::of_bytes({static_cast<const char*>(bytes), size}), limits, model);
  });
}

slim_status slim_save(const slim_model* model, const char* path) {
  return slim::c::guarded([&] {
    slim::c::require(model != nullptr, "model");
    slim::c::require(path != nullptr, "path");
    slim::ModelContent content = model->file->content();
    content.fit.clear();  // where a checkpoint's fit stood, it stands no more
    if (content.estimator.empty()) {
      content.further.clear();
      for (slim::StoredProgram& program : content.programs) program.slots = {};
    }
    slim::save(content, path);
  });
}

void slim_free(slim_model* model) { delete model; }

const char* slim_method(const slim_model* model, size_t index) {
  if (model == nullptr || index >= model->methods.size()) return nullptr;
  return std::next(model->methods.begin(), static_cast<std::ptrdiff_t>(index))->first.c_str();
}

slim_status slim_input(const slim_model* model, const char* method, size_t index,
                       slim_value* value) {
  return tell(model, method, index, value, [&](const Outputs::Method& made) {
    return inputs_of(*model, model->model->function(made.function));
  });
}

slim_status slim_output(const slim_model* model, const char* method, size_t index,
                        slim_value* value) {
  return tell(model, method, index, value,
              [&](const Outputs::Method& made) { return outputs_of(*model, made); });
}

const char* slim_column(const slim_model* model, const char* source, size_t index) {
  if (model == nullptr || source == nullptr) return nullptr;
  const auto found = model->columns.find(source);
  if (found == model->columns.end() || index >= found->second.size()) return nullptr;
  return found->second[index].c_str();
}

const char* slim_label(const slim_model* model, size_t output, size_t index) {
  if (model == nullptr || output >= model->outputs.labels.size()) return nullptr;
  const auto& labels = model->outputs.labels[output];
  return index < labels.size() ? labels[index].c_str() : nullptr;
}
