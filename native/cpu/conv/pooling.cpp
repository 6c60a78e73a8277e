// Poolings: the largest element or the sum of each window, and what goes back from there. Every
// result is gathered, from windows or from taps, so that tasks never meet.
#include <memory>

#include "cpu/check.h"
#include "cpu/conv/geometry.h"
#include "cpu/conv/region.h"
#include "cpu/kernel_set.h"
#include "cpu/lanes.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// Lanes of 32 bits, as many as a Vec<T> has.
template <class T>
using Places = typename VectorOf<int32_t, kLanes<T>* int{sizeof(int32_t)}>::type;
template <class T>
using WidePlaces = Mask<Vec<T>>;  // of the size of T

// A pixel of the source that shares a window with a pixel of the result, as a tap of it.
struct Shared {
  int64_t source, tap;
};

// The pixels of one side, each from those of the other that share a window with it.
template <class T>
class PoolLaunch : public Launch {
 public:
  PoolLaunch(const Binding& binding, const Buffer& x, const Buffer& y, bool backward)
      : geometry_(binding, x, binding.integers("kernel"), y),
        backward_(backward),
        channels_(x.dims.back()),
        size_(backward ? geometry_.x : geometry_.y),
        source_(backward ? geometry_.y : geometry_.x),
        split_(Split::by_bytes(size_[2] * channels_ * int64_t{sizeof(T)} *
                               (1 + geometry_.taps() / 4))) {}

  int64_t tasks(int64_t rows) const override {
    return split_.tasks(geometry_.images(rows) * size_[0] * size_[1]);
  }

  int64_t local_bytes() const override { return geometry_.taps() * int64_t{sizeof(Shared)}; }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    auto* shared = reinterpret_cast<Shared*>(local);
    const int64_t lines = geometry_.images(context.rows) * size_[0] * size_[1];
    for (int64_t line = split_.first(task); line < split_.last(task, lines); ++line) {
      const int64_t h = line % size_[1], d = line / size_[1] % size_[0];
      const int64_t image = line / size_[1] / size_[0];
      for (int64_t w = 0; w < size_[2]; ++w) {
        const int64_t count = find(image, {d, h, w}, shared);
        pixel(context, line * size_[2] + w, shared, count);
      }
    }
  }

  Cost cost(int64_t rows) const override {
    const double images = static_cast<double>(geometry_.images(rows) * channels_);
    const double taps = static_cast<double>(volume(geometry_.y) * geometry_.taps());
    const double moved = static_cast<double>(volume(geometry_.x) + 2 * volume(geometry_.y));
    return {images * taps, sizeof(T) * images * moved};
  }

 protected:
  // The channels of a pixel, by its number, from those that it shares windows with.
  virtual void pixel(const Context& context, int64_t index, const Shared* shared,
                     int64_t count) const noexcept = 0;

  int64_t channels() const { return channels_; }

 private:
  int64_t find(int64_t image, const PerAxis& at, Shared* shared) const {
    const Geometry& g = geometry_;
    int64_t count = 0;
    for (int64_t i = 0; i < g.kernel[0]; ++i) {
      const int64_t d = source_of(0, at[0], i);
      if (d < 0) continue;
      for (int64_t j = 0; j < g.kernel[1]; ++j) {
        const int64_t h = source_of(1, at[1], j);
        if (h < 0) continue;
        const int64_t line = ((image * source_[0] + d) * source_[1] + h) * source_[2];
        for (int64_t k = 0; k < g.kernel[2]; ++k) {
          const int64_t w = source_of(2, at[2], k);
          if (w < 0) continue;
          shared[count++] = {line + w, (i * g.kernel[1] + j) * g.kernel[2] + k};
        }
      }
    }
    return count;
  }

  // Along an axis, where a tap leads; -1: into the padding, or between windows.
  int64_t source_of(int axis, int64_t at, int64_t tap) const {
    const Geometry& g = geometry_;
    int64_t source;
    if (backward_) {
      const int64_t from = at + g.before[axis] - tap * g.dilation[axis];
      if (from < 0 || from % g.stride[axis] != 0) return -1;
      source = from / g.stride[axis];
    } else {
      source = at * g.stride[axis] + tap * g.dilation[axis] - g.before[axis];
    }
    return source >= 0 && source < source_[axis] ? source : -1;
  }

  Geometry geometry_;
  bool backward_;
  int64_t channels_;
  PerAxis size_, source_;  // of a result's image and a source's
  Split split_;            // of lines of pixels
};

template <class T>
SLIM_INLINE WidePlaces<T> load_places(const int32_t* src) {
  Places<T> places;
  __builtin_memcpy(&places, src, sizeof(places));
  return convert<WidePlaces<T>>(places);
}

template <class T>
class MaxPool final : public PoolLaunch<T> {
 public:
  explicit MaxPool(const Binding& binding)
      : PoolLaunch<T>(binding, binding.operands[0], binding.results[0], false),
        x_(binding.operands[0]),
        y_(binding.results[0]),
        places_(binding.results[1]) {}

 private:
  void pixel(const Context& context, int64_t index, const Shared* shared,
             int64_t count) const noexcept override {
    const T* x = x_.in<T>(context);
    const int64_t n = this->channels();
    T* y = y_.in<T>(context) + index * n;
    int32_t* places = places_.in<int32_t>(context) + index * n;
    for (int64_t c = 0; c < n; c += kLanes<T>) {
      Vec<T> best{};
      WidePlaces<T> place = WidePlaces<T>{} - 1;
      if (count > 0) {
        best = load(x + shared[0].source * n + c);
        place = place_of(shared[0]);
      }
      for (int64_t i = 1; i < count; ++i) {
        const Vec<T> v = load(x + shared[i].source * n + c);
        const auto wins = ~(v <= best) & (best == best);  // NaN wins, and keeps what it has
        best = select(wins, v, best);
        place = select(wins, place_of(shared[i]), place);
      }
      const int64_t lanes = std::min<int64_t>(kLanes<T>, n - c);
      store_first(y + c, best, lanes);
      const auto narrow = convert<Places<T>>(place);
      int32_t kept[kLanes<T>];
      __builtin_memcpy(kept, &narrow, sizeof(narrow));
      std::copy_n(kept, lanes, places + c);
    }
  }

  static WidePlaces<T> place_of(const Shared& shared) {
    return WidePlaces<T>{} + static_cast<Lane<WidePlaces<T>>>(shared.tap);
  }

  Buffer x_, y_, places_;
};

template <class T>
class MaxPoolGrad final : public PoolLaunch<T> {
 public:
  explicit MaxPoolGrad(const Binding& binding)
      : PoolLaunch<T>(binding, binding.results[0], binding.operands[0], true),
        dy_(binding.operands[0]),
        places_(binding.operands[1]),
        dx_(binding.results[0]) {}

 private:
  void pixel(const Context& context, int64_t index, const Shared* shared,
             int64_t count) const noexcept override {
    const T* dy = dy_.in<T>(context);
    const int32_t* places = places_.in<int32_t>(context);
    const int64_t n = this->channels();
    T* dx = dx_.in<T>(context) + index * n;
    for (int64_t c = 0; c < n; c += kLanes<T>) {
      Vec<T> sum{};
      for (int64_t i = 0; i < count; ++i) {
        const auto& [source, tap] = shared[i];
        const auto here =
            load_places<T>(places + source * n + c) == static_cast<Lane<WidePlaces<T>>>(tap);
        sum = sum + select(here, load(dy + source * n + c), Vec<T>{});
      }
      store_first(dx + c, sum, std::min<int64_t>(kLanes<T>, n - c));
    }
  }

  Buffer dy_, places_, dx_;
};

template <class T>
class MaxPoolPick final : public PoolLaunch<T> {
 public:
  explicit MaxPoolPick(const Binding& binding)
      : PoolLaunch<T>(binding, binding.operands[0], binding.results[0], false),
        x_(binding.operands[0]),
        places_(binding.operands[1]),
        y_(binding.results[0]) {}

 private:
  void pixel(const Context& context, int64_t index, const Shared* shared,
             int64_t count) const noexcept override {
    const T* x = x_.in<T>(context);
    const int64_t n = this->channels();
    const int32_t* places = places_.in<int32_t>(context) + index * n;
    T* y = y_.in<T>(context) + index * n;
    for (int64_t c = 0; c < n; c += kLanes<T>) {
      const WidePlaces<T> place = load_places<T>(places + c);
      Vec<T> picked{};
      for (int64_t i = 0; i < count; ++i) {
        const auto& [source, tap] = shared[i];
        const auto here = place == static_cast<Lane<WidePlaces<T>>>(tap);
        picked = select(here, load(x + source * n + c), picked);
      }
      store_first(y + c, picked, std::min<int64_t>(kLanes<T>, n - c));
    }
  }

  Buffer x_, places_, y_;
};

// sum_pool, and with the sides changed its gradient.
template <class T>
class SumPool final : public PoolLaunch<T> {
 public:
  SumPool(const Binding& binding, bool backward)
      : PoolLaunch<T>(binding, backward ? binding.results[0] : binding.operands[0],
                      backward ? binding.operands[0] : binding.results[0], backward),
        from_(binding.operands[0]),
        to_(binding.results[0]) {}

 private:
  void pixel(const Context& context, int64_t index, const Shared* shared,
             int64_t count) const noexcept override {
    const T* from = from_.in<T>(context);
    const int64_t n = this->channels();
    T* to = to_.in<T>(context) + index * n;
    for (int64_t c = 0; c < n; c += kLanes<T>) {
      Vec<T> sum{};
      for (int64_t i = 0; i < count; ++i) sum = sum + load(from + shared[i].source * n + c);
      store_first(to + c, sum, std::min<int64_t>(kLanes<T>, n - c));
    }
  }

  Buffer from_, to_;
};

template <template <class> class Kind, class... More>
Prepared prepare(const Binding& binding, More... more) {
  if (binding.operands[0].dtype == DType::f32) {
    return std::make_unique<Kind<float>>(binding, more...);
  }
  return std::make_unique<Kind<double>>(binding, more...);
}

Prepared prepare_max_pool(const Binding& binding) { return prepare<MaxPool>(binding); }
Prepared prepare_max_pool_grad(const Binding& binding) { return prepare<MaxPoolGrad>(binding); }
Prepared prepare_max_pool_pick(const Binding& binding) { return prepare<MaxPoolPick>(binding); }
Prepared prepare_sum_pool(const Binding& binding) { return prepare<SumPool>(binding, false); }
Prepared prepare_sum_pool_grad(const Binding& binding) { return prepare<SumPool>(binding, true); }

}  // namespace

SLIM_KERNEL(max_pool, prepare_max_pool);
SLIM_KERNEL(max_pool_grad, prepare_max_pool_grad);
SLIM_KERNEL(max_pool_pick, prepare_max_pool_pick);
SLIM_KERNEL(sum_pool, prepare_sum_pool);
SLIM_KERNEL(sum_pool_grad, prepare_sum_pool_grad);

}  // namespace slim::SLIM_ISA_NAMESPACE
