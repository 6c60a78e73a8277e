// Pooled convolutions and their gradients: by kernels that never store a whole map where there
// are some for the shape, else by the ops apart and a map in their workspace.
#include "cpu/conv/pooled.h"

#include <memory>
#include <optional>
#include <utility>

#include "cpu/check.h"
#include "cpu/conv/winograd.h"
#include "cpu/kernel_set.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// Lines of windows over a map in the workspace.
template <class T>
class MapLaunch : public Launch {
 public:
  MapLaunch(PooledGeometry pooled, const Buffer& map, const Buffer& values, const Buffer& places)
      : pooled_(std::move(pooled)),
        map_(map),
        values_(values),
        places_(places),
        channels_(values.dims.back()),
        split_(Split::by_bytes(map.dims[2] * channels_ * int64_t{sizeof(T)} * pooled_.height)) {}

  int64_t tasks(int64_t rows) const override { return split_.tasks(lines(rows)); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t last = split_.last(task, lines(context.rows));
    for (int64_t line = split_.first(task); line < last; ++line) windows(context, line);
  }

  Cost cost(int64_t rows) const override {
    const double elements = static_cast<double>(map_.count(rows));
    return {elements, sizeof(T) * elements};
  }

 protected:
  virtual void windows(const Context& context, int64_t line) const noexcept = 0;
  virtual int64_t lines_of_image() const { return pooled_.rows; }

  int64_t lines(int64_t rows) const { return map_.leading(rows) * lines_of_image(); }
  // The first element of a pixel of the map.
  T* pixel(const Context& context, int64_t image, int64_t h, int64_t w) const {
    return map_.in<T>(context) + ((image * map_.dims[1] + h) * map_.dims[2] + w) * channels_;
  }

  PooledGeometry pooled_;
  Buffer map_, values_, places_;
  int64_t channels_;
  Split split_;  // of lines
};

template <class T>
class PoolMap final : public MapLaunch<T> {
 public:
  PoolMap(const Binding& binding, const PooledGeometry& pooled, const Buffer& map)
      : MapLaunch<T>(pooled, map, binding.results[0], binding.results[1]),
        relu_(binding.flag("relu", false)) {
    if (binding.operands.size() > 2) bias_ = binding.operands[2];
  }

 private:
  void windows(const Context& context, int64_t line) const noexcept override {
    const PooledGeometry& p = this->pooled_;
    const T* bias = bias_.dims.empty() ? nullptr : bias_.in<T>(context);
    const int64_t image = line / p.rows, y = line % p.rows, n = this->channels_;
    for (int64_t x = 0; x < p.columns; ++x) {
      T* to = this->values_.template in<T>(context) + (line * p.columns + x) * n;
      uint8_t* places = this->places_.template in<uint8_t>(context) + (line * p.columns + x) * n;
      for (int64_t place = 0; place < p.height * p.width; ++place) {
        const T* from = this->pixel(context, image, y * p.height + place / p.width,
                                    x * p.width + place % p.width);
        for (int64_t c = 0; c < n; ++c) {
          T value = from[c];
          if (bias != nullptr) value += bias[c];
          if (relu_ && value <= 0) value = 0;
          const bool wins = !(value <= to[c]) && to[c] == to[c];  // NaN wins, and keeps it
          if (place > 0 && !wins) continue;
          to[c] = value;
          places[c] = static_cast<uint8_t>(place);
        }
      }
    }
  }

  Buffer bias_;
  bool relu_;
};

// Numbers of windows at their places, zeros elsewhere.
template <class T>
class SpreadMap final : public MapLaunch<T> {
 public:
  SpreadMap(const PooledGeometry& pooled, const Buffer& d, const Buffer& places, const Buffer& map)
      : MapLaunch<T>(pooled, map, d, places) {}

 private:
  int64_t lines_of_image() const override { return this->map_.dims[1]; }

  void windows(const Context& context, int64_t line) const noexcept override {
    const PooledGeometry& p = this->pooled_;
    const int64_t height = this->map_.dims[1], width = this->map_.dims[2], n = this->channels_;
    const int64_t image = line / height, h = line % height, y = h / p.height;
    for (int64_t w = 0; w < width; ++w) {
      T* to = this->pixel(context, image, h, w);
      const int64_t x = w / p.width, window = (image * p.rows + y) * p.columns + x;
      if (y >= p.rows || x >= p.columns) {
        std::fill_n(to, n, T{0});
        continue;
      }
      const auto here = static_cast<uint8_t>(h % p.height * p.width + w % p.width);
      const T* from = this->values_.template in<T>(context) + window * this->values_.row();
      const uint8_t* places =
          this->places_.template in<uint8_t>(context) + window * this->places_.row();
      for (int64_t c = 0; c < n; ++c) to[c] = places[c] == here ? from[c] : T{0};
    }
  }
};

const KernelRow& row_of(const char* op) { return *kernel_set(SLIM_ISA_NAME)->rows.at(op); }

// The convolution, or a gradient of it, that an op is made of, with a map in the workspace.
struct Apart {
  const Binding& outer;
  PooledGeometry pooled;
  Node node;
  std::vector<Buffer> operands, results;
  Buffer map;  // once it has a place

  // `map_of`: the operand or, -1, the result that the map takes the place of.
  Apart(const Binding& binding, const char* op, PooledGeometry geometry, int map_at)
      : outer(binding), pooled(std::move(geometry)), node(binding.node), map(pooled.map) {
    node.op = op;
    if (!binding.workspace.empty()) {
      map.base = binding.workspace.back().base;
      map.offset = binding.workspace.back().offset;
    }
    operands = binding.operands;
    results = binding.results;
    if (map_at >= 0) {
      operands[static_cast<size_t>(map_at)] = map;
      operands.erase(operands.begin() + 2);  // the places
      node.operands.erase(node.operands.begin() + 2);
    } else {
      operands.resize(2);  // the bias comes later
      node.operands.resize(2);
      node.results.resize(1);
      results = {map};
    }
  }

  Binding binding() const {
    Binding inner{outer.graph, node, operands, results};
    inner.workspace = outer.workspace;
    if (!inner.workspace.empty()) inner.workspace.pop_back();
    inner.packed = outer.packed;
    return inner;
  }
  std::vector<int64_t> workspace() const {
    const KernelRow& row = row_of(node.op.c_str());
    std::vector<int64_t> bytes;
    if (row.workspace != nullptr) bytes = row.workspace(binding());
    bytes.push_back(map.count(capacity_of(outer)) * size_of(map.dtype));
    return bytes;
  }
  Prepared prepare() const { return row_of(node.op.c_str()).prepare(binding()); }
};

template <template <class> class Kind, class... Arguments>
std::unique_ptr<Launch> of_type(DType dtype, const Arguments&... arguments) {
  if (dtype == DType::f32) return std::make_unique<Kind<float>>(arguments...);
  return std::make_unique<Kind<double>>(arguments...);
}

Apart forward(const Binding& b) {
  return {b, "convolution", {b, b.operands[0], b.operands[1].dims, b.results[0]}, -1};
}
Apart input_grad(const Binding& b) {
  return {b, "convolution_input_grad", {b, b.results[0], b.operands[1].dims, b.operands[0]}, 0};
}
Apart filter_grad(const Binding& b) {
  return {b, "convolution_filter_grad", {b, b.operands[0], b.results[0].dims, b.operands[1]}, 1};
}

Prepared prepare_forward(const Binding& binding) {
  if (has_pooled_few(binding)) return prepare_pooled_few(binding);
  if (fits_pooled_winograd(binding)) return prepare_pooled_winograd(binding);
  const Apart apart = forward(binding);
  Prepared prepared = apart.prepare();
  prepared.launches.push_back(of_type<PoolMap>(apart.map.dtype, binding, apart.pooled, apart.map));
  return prepared;
}
std::optional<Packing> forward_packing(const Binding& binding) {
  if (has_pooled_few(binding)) return {};
  if (fits_pooled_winograd(binding)) return pooled_winograd_packing(binding);
  const Apart apart = forward(binding);
  const KernelRow& row = row_of(apart.node.op.c_str());
  return row.packing == nullptr ? std::nullopt : row.packing(apart.binding());
}
std::vector<int64_t> forward_workspace(const Binding& binding) {
  if (has_pooled_few(binding)) return {};
  if (fits_pooled_winograd(binding)) {
    return binding.packed ? std::vector<int64_t>()
                          : std::vector<int64_t>{pooled_winograd_packing(binding).bytes};
  }
  return forward(binding).workspace();
}

Prepared prepare_spread(const Apart& apart, const Buffer& d, const Buffer& places) {
  Prepared prepared = apart.prepare();
  prepared.launches.insert(prepared.launches.begin(),
                           of_type<SpreadMap>(apart.map.dtype, apart.pooled, d, places, apart.map));
  return prepared;
}

Prepared prepare_input_grad(const Binding& binding) {
  if (has_pooled_input_grad(binding)) return prepare_pooled_input_grad(binding);
  return prepare_spread(input_grad(binding), binding.operands[0], binding.operands[2]);
}
std::vector<int64_t> input_grad_workspace(const Binding& binding) {
  if (has_pooled_input_grad(binding)) return pooled_input_grad_workspace(binding);
  return input_grad(binding).workspace();
}

Prepared prepare_filter_grad(const Binding& binding) {
  if (has_pooled_filter_grad(binding)) return prepare_pooled_filter_grad(binding);
  return prepare_spread(filter_grad(binding), binding.operands[1], binding.operands[2]);
}
std::vector<int64_t> filter_grad_workspace(const Binding& binding) {
  if (has_pooled_filter_grad(binding)) return pooled_filter_grad_workspace(binding);
  return filter_grad(binding).workspace();
}

}  // namespace

SLIM_KERNEL(pooled_convolution, prepare_forward, forward_workspace, forward_packing);
SLIM_KERNEL(pooled_convolution_input_grad, prepare_input_grad, input_grad_workspace);
SLIM_KERNEL(pooled_convolution_filter_grad, prepare_filter_grad, filter_grad_workspace);

}  // namespace slim::SLIM_ISA_NAMESPACE
