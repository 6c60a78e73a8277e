// A function of any program run on a few rows of odd data, where that takes little memory.
#pragma once

#include <limits>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/call/forward.h"
#include "runtime/plan/model.h"
#include "runtime/train/hypers.h"

namespace slim {

// Rows for every input that the function reads.
class OddData {
 public:
  OddData(const Graph& graph, int64_t rows, Symbols sizes) {
    sizes["B"] = rows;
    for (const Node& node : graph.nodes) {
      if (node.op == "input") add(node, graph.values[static_cast<size_t>(node.results[0])], sizes);
    }
  }
  const std::vector<Source>& sources() const { return sources_; }

 private:
  static constexpr int64_t kMost = 1 << 14;

  void add(const Node& node, const Value& value, const Symbols& sizes) {
    static const double kOdd[] = {
        0,    1,   2,     -1,        3,
        -0.0, 0.5, 1e300, 5e-324,    std::numeric_limits<double>::infinity(),
        1,    2,   -2.5,  INT32_MAX, std::numeric_limits<double>::quiet_NaN()};
    Source source;
    source.name = std::get<std::string>(node.attributes.at("source"));
    for (const Source& other : sources_) {
      if (other.name == source.name) return;  // of another shape: refused when it is bound
    }
    for (const Dim& dim : value.type.dims) source.shape.push_back(dim.evaluate(sizes));
    const auto columns = node.attributes.find("columns");
    if (columns != node.attributes.end() && source.shape.size() > 1) {
      source.shape[1] = std::get<std::vector<int64_t>>(columns->second).at(1);
    }
    int64_t count = 1;
    for (const int64_t extent : source.shape) {
      if (extent < 0 || extent > kMost || (count *= extent) > kMost) {
        throw std::invalid_argument("too large to be run here");
      }
    }
    const size_t start = sources_.size();
    std::vector<double>& data = data_.emplace_back(static_cast<size_t>(count));
    for (size_t i = 0; i < data.size(); ++i) data[i] = kOdd[(start + i) % std::size(kOdd)];
    if (value.type.storage == Storage::csr) {
      add_csr(source, value.type.dtype);
    } else {
      source.type = SourceType::f64;
      source.data = reinterpret_cast<const std::byte*>(data.data());
      int64_t stride = sizeof(double);
      source.strides.resize(source.shape.size());
      for (size_t axis = source.shape.size(); axis-- > 0;) {
        source.strides[axis] = stride;
        stride *= source.shape[axis];
      }
    }
    sources_.push_back(std::move(source));
  }

  // Every other element is stored.
  void add_csr(Source& source, DType dtype) {
    if (source.shape.size() != 2) throw std::invalid_argument("rows of another rank");
    std::vector<int32_t>& offsets = ids_.emplace_back(1);
    std::vector<int32_t>& columns = ids_.emplace_back();
    for (int64_t row = 0; row < source.shape[0]; ++row) {
      for (int64_t i = row % 2; i < source.shape[1]; i += 2) {
        columns.push_back(static_cast<int32_t>(i));
      }
      offsets.push_back(static_cast<int32_t>(columns.size()));
    }
    std::vector<double>& wide = data_.back();
    wide.resize(columns.size() + 1);
    CsrArrays arrays;
    if (dtype == DType::f32) {
      const std::vector<float>& narrow = narrow_.emplace_back(wide.begin(), wide.end());
      arrays.values = reinterpret_cast<const std::byte*>(narrow.data());
    } else {
      arrays.values = reinterpret_cast<const std::byte*>(wide.data());
    }
    arrays.dtype = dtype == DType::f32 ? DType::f32 : DType::f64;
    arrays.columns = reinterpret_cast<const std::byte*>(columns.data());
    arrays.offsets = reinterpret_cast<const std::byte*>(offsets.data());
    arrays.stored = static_cast<int64_t>(columns.size());
    source.csr.emplace(arrays, source.shape[0], source.shape[1], "");
  }

  std::list<std::vector<double>> data_;
  std::list<std::vector<float>> narrow_;
  std::list<std::vector<int32_t>> ids_;
  std::vector<Source> sources_;
};

// Throws std::invalid_argument where the function does not run, or not in little memory.
inline void run_small(const std::shared_ptr<const Model>& model, const Function& function,
                      int64_t rows, const Symbols& sizes) {
  constexpr int64_t kMostBytes = 1 << 20;
  constexpr double kMostWork = 1e7;
  const auto plan = model->plan(function.name, rows, sizes);
  const Layout& layout = model->layout();
  const Cost cost = plan->cost(rows);
  for (const int64_t bytes : {layout.param_bytes, layout.state_bytes, layout.slot_bytes,
                              plan->scratch_bytes(), plan->local_bytes()}) {
    if (bytes > kMostBytes) return;
  }
  if (!(cost.flops < kMostWork && cost.bytes < kMostWork)) return;
  const OddData data(function.graph, rows, sizes);
  const Arena params(layout.param_bytes), gradient(layout.param_bytes);
  const Arena state(layout.state_bytes), slots(layout.slot_bytes);
  Arrays arrays;
  arrays.param = params.data();
  arrays.gradient = gradient.data();
  arrays.state = state.data();
  arrays.slot = slots.data();
  ForwardOptions options;
  options.rows = rows;
  options.chunk = rows;
  Forward forward(model, function.name, data.sources(), {}, options, arrays, hypers_of(*model, {}));
  std::list<Arena> returned;
  for (Returned& one : forward.returns()) {
    int64_t bytes = size_of(one.dtype);
    for (const int64_t extent : one.shape) bytes *= extent;
    one.data = returned.emplace_back(bytes).data();
  }
  forward.run();
}

}  // namespace slim
