// Poolings: the largest element or the sum of each window, and what goes back from there. Every
// result is gathered, from windows or from taps, so that tasks never meet.
#include <algorithm>
#include <memory>

#include "cpu/conv/window_lines.h"
#include "cpu/kernel_set.h"
#include "cpu/lanes.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// Lanes of 32 bits, as many as a Vec<T> has.
template <class T>
using Places = typename VectorOf<int32_t, kLanes<T>* int{sizeof(int32_t)}>::type;
template <class T>
using WidePlaces = Mask<Vec<T>>;  // of the size of T

// The pixels of one side, each from those of the other that share a window with it.
template <class T>
class PoolLaunch : public Launch {
 public:
  PoolLaunch(const Binding& binding, const Buffer& x, const Buffer& y, bool backward)
      : geometry_(binding, x, binding.integers("kernel"), y),
        channels_(x.dims.back()),
        lines_(geometry_, backward, channels_, 1),
        split_(Split::by_bytes(lines_.result()[2] * channels_ * int64_t{sizeof(T)} *
                               (1 + geometry_.taps() / 4))) {}

  int64_t tasks(int64_t rows) const override { return split_.tasks(lines(rows)); }
  int64_t local_bytes() const override { return lines_.local_bytes(); }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const int64_t last = split_.last(task, lines(context.rows));
    for (int64_t line = split_.first(task); line < last; ++line) {
      lines_.visit(line, reinterpret_cast<Tap*>(local), [&](const PixelRun& run) {
        pixels(context, line * lines_.result()[2] * channels_, run);
      });
    }
  }

  Cost cost(int64_t rows) const override {
    const double images = static_cast<double>(geometry_.images(rows) * channels_);
    const double taps = static_cast<double>(volume(geometry_.y) * geometry_.taps());
    const double moved = static_cast<double>(volume(geometry_.x) + 2 * volume(geometry_.y));
    return {images * taps, sizeof(T) * images * moved};
  }

 protected:
  // Of a line that begins at this element.
  virtual void pixels(const Context& context, int64_t line, const PixelRun& run) const noexcept = 0;

  // Calls at(element of the result, of the source, vectors, lanes of the last) for all channels
  // of some pixels: four vectors at once, and in the end one that channels before may be in too.
  template <class At>
  SLIM_INLINE void for_vectors(int64_t line, const PixelRun& run, At at) const {
    constexpr int64_t kStep = kLanes<T>;
    const int64_t n = channels_;
    for (int64_t i = 0; i < run.count; ++i) {
      const int64_t to = line + (run.x + i * run.x_step) * n;
      const int64_t from = run.source + i * run.source_step;
      int64_t c = 0;
      for (; c + 4 * kStep <= n; c += 4 * kStep) at.template operator()<4>(to + c, from + c, kStep);
      for (; c + kStep <= n; c += kStep) at.template operator()<1>(to + c, from + c, kStep);
      if (c == n) continue;
      if (n >= kStep) {
        at.template operator()<1>(to + n - kStep, from + n - kStep, kStep);
      } else {
        at.template operator()<1>(to, from, n);
      }
    }
  }

 private:
  int64_t lines(int64_t rows) const { return geometry_.images(rows) * lines_.a_image(); }

  Geometry geometry_;
  int64_t channels_;
  WindowLines lines_;
  Split split_;  // of lines of pixels
};

template <class T>
SLIM_INLINE WidePlaces<T> load_places(const int32_t* src) {
  Places<T> places;
  __builtin_memcpy(&places, src, sizeof(places));
  return convert<WidePlaces<T>>(places);
}

template <class T>
SLIM_INLINE void store_places(int32_t* dst, WidePlaces<T> wide, int64_t lanes) {
  const auto places = convert<Places<T>>(wide);
  if (lanes == kLanes<T>) {
    __builtin_memcpy(dst, &places, sizeof(places));
  } else {
    for (int64_t i = 0; i < lanes; ++i) dst[i] = places[i];
  }
}

template <class T>
SLIM_INLINE WidePlaces<T> place_of(const Tap& tap) {
  return WidePlaces<T>{} + static_cast<Lane<WidePlaces<T>>>(tap.number);
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
  void pixels(const Context& context, int64_t line, const PixelRun& run) const noexcept override {
    const T* x = x_.in<T>(context);
    T* y = y_.in<T>(context);
    int32_t* places = places_.in<int32_t>(context);
    this->for_vectors(line, run, [&]<int vectors>(int64_t to, int64_t from, int64_t lanes) {
      Vec<T> best[vectors];
      WidePlaces<T> place[vectors];
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) {
        best[j] =
            run.tap_count > 0 ? load(x + from + run.taps[0].source + j * kLanes<T>) : Vec<T>{};
        place[j] = run.tap_count > 0 ? place_of<T>(run.taps[0]) : WidePlaces<T>{} - 1;
      }
      for (int64_t t = 1; t < run.tap_count; ++t) {
        const T* source = x + from + run.taps[t].source;
        const WidePlaces<T> here = place_of<T>(run.taps[t]);
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) {
          const Vec<T> v = load(source + j * kLanes<T>);
          const auto wins = ~(v <= best[j]) & (best[j] == best[j]);  // NaN wins, and keeps it
          best[j] = select(wins, v, best[j]);
          place[j] = select(wins, here, place[j]);
        }
      }
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) {
        store_first(y + to + j * kLanes<T>, best[j], lanes);
        store_places<T>(places + to + j * kLanes<T>, place[j], lanes);
      }
    });
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
  void pixels(const Context& context, int64_t line, const PixelRun& run) const noexcept override {
    const T* dy = dy_.in<T>(context);
    const int32_t* places = places_.in<int32_t>(context);
    T* dx = dx_.in<T>(context);
    this->for_vectors(line, run, [&]<int vectors>(int64_t to, int64_t from, int64_t lanes) {
      Vec<T> sum[vectors] = {};
      for (int64_t t = 0; t < run.tap_count; ++t) {
        const int64_t source = from + run.taps[t].source;
        const WidePlaces<T> tap = place_of<T>(run.taps[t]);
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) {
          const int64_t at = source + j * kLanes<T>;
          sum[j] = sum[j] + select(load_places<T>(places + at) == tap, load(dy + at), Vec<T>{});
        }
      }
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) store_first(dx + to + j * kLanes<T>, sum[j], lanes);
    });
  }

  Buffer dy_, places_, dx_;
};

// The same where windows lie side by side: each writes what it read.
template <class T>
class MaxPoolSpread final : public PoolLaunch<T> {
 public:
  explicit MaxPoolSpread(const Binding& binding)
      : PoolLaunch<T>(binding, binding.results[0], binding.operands[0], false),
        dy_(binding.operands[0]),
        places_(binding.operands[1]),
        dx_(binding.results[0]) {}

  static bool fits(const Binding& binding) {
    const Geometry g(binding, binding.results[0], binding.integers("kernel"), binding.operands[0]);
    for (int axis = 0; axis < kAxes; ++axis) {
      if (g.kernel[axis] != g.stride[axis] || g.dilation[axis] != 1 || g.before[axis] != 0 ||
          g.x[axis] != g.y[axis] * g.stride[axis]) {
        return false;
      }
    }
    return true;
  }

 private:
  void pixels(const Context& context, int64_t line, const PixelRun& run) const noexcept override {
    const T* dy = dy_.in<T>(context);
    const int32_t* places = places_.in<int32_t>(context);
    T* dx = dx_.in<T>(context);
    this->for_vectors(line, run, [&]<int vectors>(int64_t from, int64_t to, int64_t lanes) {
      Vec<T> value[vectors];
      WidePlaces<T> place[vectors];
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) {
        value[j] = Vec<T>{} + load(dy + from + j * kLanes<T>);
        place[j] = load_places<T>(places + from + j * kLanes<T>);
      }
      for (int64_t t = 0; t < run.tap_count; ++t) {
        T* pixel = dx + to + run.taps[t].source;
        const WidePlaces<T> here = place_of<T>(run.taps[t]);
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) {
          store_first(pixel + j * kLanes<T>, select(place[j] == here, value[j], Vec<T>{}), lanes);
        }
      }
    });
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
  void pixels(const Context& context, int64_t line, const PixelRun& run) const noexcept override {
    const T* x = x_.in<T>(context);
    const int32_t* places = places_.in<int32_t>(context);
    T* y = y_.in<T>(context);
    this->for_vectors(line, run, [&]<int vectors>(int64_t to, int64_t from, int64_t lanes) {
      WidePlaces<T> place[vectors];
      Vec<T> picked[vectors] = {};
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) place[j] = load_places<T>(places + to + j * kLanes<T>);
      for (int64_t t = 0; t < run.tap_count; ++t) {
        const T* source = x + from + run.taps[t].source;
        const WidePlaces<T> tap = place_of<T>(run.taps[t]);
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) {
          picked[j] = select(place[j] == tap, load(source + j * kLanes<T>), picked[j]);
        }
      }
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) store_first(y + to + j * kLanes<T>, picked[j], lanes);
    });
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
  static constexpr int64_t kPart = 1024;

  void pixels(const Context& context, int64_t line, const PixelRun& run) const noexcept override {
    const T* source = from_.in<T>(context);
    T* result = to_.in<T>(context);
    this->for_vectors(line, run, [&]<int vectors>(int64_t to, int64_t from, int64_t lanes) {
      Vec<T> sum[vectors] = {};
      for (int64_t t = 0; t < run.tap_count;) {
        // Of a large window, parts are summed apart: the error does not grow with all of it.
        const int64_t end = std::min(run.tap_count, t + kPart);
        Vec<T> part[vectors] = {};
        for (; t < end; ++t) {
          const T* tap = source + from + run.taps[t].source;
#pragma GCC unroll 4
          for (int j = 0; j < vectors; ++j) part[j] = part[j] + load(tap + j * kLanes<T>);
        }
#pragma GCC unroll 4
        for (int j = 0; j < vectors; ++j) sum[j] = sum[j] + part[j];
      }
#pragma GCC unroll 4
      for (int j = 0; j < vectors; ++j) store_first(result + to + j * kLanes<T>, sum[j], lanes);
    });
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
Prepared prepare_max_pool_grad(const Binding& binding) {
  if (MaxPoolSpread<float>::fits(binding)) return prepare<MaxPoolSpread>(binding);
  return prepare<MaxPoolGrad>(binding);
}
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
