// Depthwise convolution and its gradient in x: a result's row in blocks of pixels that stay in
// registers, taps outside of the source left out.
#include "cpu/conv/depthwise.h"

#include <memory>

#include "cpu/conv/depthwise_pixels.h"
#include "cpu/gemm/product.h"
#include "cpu/gemm/product_end.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int64_t kFarSource = 8 << 20;  // bytes: more than a core finds in its caches

template <class T>
class Depthwise final : public Launch {
 public:
  Depthwise(const Binding& binding, bool backward)
      : geometry_(binding, backward ? binding.results[0] : binding.operands[0],
                  binding.operands[1].dims, backward ? binding.operands[0] : binding.results[0]),
        backward_(backward),
        from_(binding.operands[0]),
        filters_(binding.operands[1]),
        to_(binding.results[0]),
        outputs_(geometry_.groups * geometry_.outputs),
        lines_(geometry_, backward, from_.row(), filters_.row()),
        spread_(geometry_.outputs),
        end_(binding),
        split_(
            Split::by_bytes(pixels() * outputs_ * (1 + geometry_.stride[2]) * int64_t{sizeof(T)})) {
    while (split_.grain > 1 && lines_.a_image() < kFewTasks * split_.grain) split_.grain /= 2;
    // Half an image is whole tasks, as it is of the product that follows: a lane reads its own.
    const int64_t half = lines_.a_image() / 2;
    for (int64_t grain = split_.grain; 2 * grain > split_.grain; --grain) {
      if (half % grain != 0) continue;
      split_.grain = grain;
      break;
    }
  }

  int64_t tasks(int64_t rows) const override { return split_.tasks(lines(rows)); }

  int64_t local_bytes() const override {
    return contracted_offset() + (tiled() ? line_bytes(to_channels()) + end_.local_bytes() : 0);
  }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept override {
    const int64_t last = split_.last(task, lines(context.rows));
    for (int64_t i = split_.first(task); i < last; ++i) line(context, i, local);
  }

  Cost cost(int64_t rows) const override {
    const FilterGeometry& g = geometry_;
    const double images = static_cast<double>(g.images(rows) * g.groups);
    const double products = static_cast<double>(volume(g.y) * g.taps() * g.outputs);
    const double pixels = static_cast<double>(volume(g.x) + volume(g.y) * g.outputs);
    return {2 * images * products, sizeof(T) * images * pixels};
  }

 private:
  static int64_t rounded(int64_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  }
  int64_t pixels() const { return lines_.result()[2]; }  // of a line
  int64_t lines(int64_t rows) const { return geometry_.images(rows) * lines_.a_image(); }
  // Outputs of a channel give their sum back to it.
  bool contracts() const { return backward_ && geometry_.outputs > 1; }
  bool tiled() const { return contracts() || end_.has_tape(); }
  int64_t to_channels() const { return backward_ ? geometry_.groups : outputs_; }
  int64_t line_bytes(int64_t channels) const {
    return rounded(pixels() * channels * int64_t{sizeof(T)});
  }
  int64_t tile_offset() const { return rounded(lines_.local_bytes()); }
  int64_t contracted_offset() const { return tile_offset() + (tiled() ? line_bytes(outputs_) : 0); }

  void line(const Context& context, int64_t number, std::byte* local) const noexcept {
    T* tile = reinterpret_cast<T*>(local + tile_offset());
    const T* from = from_.in<T>(context);
    const int64_t row = number * pixels();
    T* to = to_.in<T>(context) + row * to_.row();
    const int64_t pixel = tiled() ? outputs_ : to_.row();
    const Finish<T> finish = end_.finish(context, row, 0);
    const Range below = lines_.read_next(number);
    const int64_t read = lines_.source()[2] * from_.row();
    Prefetcher next(
        from + below.first * read, read * int64_t{sizeof(T)}, read * int64_t{sizeof(T)},
        below.length(),
        (pixels() + kPixels - 1) / kPixels * std::max<int64_t>(outputs_ / (2 * kLanes<T>), 1));
    PixelCall<T> call;
    call.filters = filters_.in<T>(context);
    call.outputs = outputs_;
    call.spread = &spread_;
    const int64_t all = geometry_.images(context.rows) * volume(lines_.source()) * from_.row();
    if (all * int64_t{sizeof(T)} > kFarSource) call.next = &next;
    lines_.visit(number, reinterpret_cast<Tap*>(local), [&](const PixelRun& run) {
      call.taps = run.taps;
      call.count = run.tap_count;
      call.x_step = run.source_step;
      call.y_step = run.x_step * pixel;
      if (!tiled()) call.finish = finish.every(run.x_step);
      const Parts blocks = Parts::of_at_most(run.count, kPixels);
      for (int64_t block = 0; block < blocks.count; ++block) {
        const int64_t first = blocks.begin(block), count = blocks.end(block) - first;
        const int64_t x = run.x + first * run.x_step;
        call.x = from + run.source + first * run.source_step;
        call.y = (tiled() ? tile : to) + x * pixel;
        if (!tiled()) call.finish.begin_at(finish, x);
        (spreads() ? pixel_row_of<T, true>(count) : pixel_row_of<T, false>(count))(call);
      }
    });
    if (!tiled()) return;
    if (contracts()) {
      T* sums = end_.has_tape() ? reinterpret_cast<T*>(local + contracted_offset()) : to;
      contract(tile, sums, end_.has_tape() ? geometry_.groups : to_.row());
      if (!end_.has_tape()) finish_rows(to, to_.row(), pixels(), geometry_.groups, finish);
      tile = sums;
    }
    if (end_.has_tape()) {
      const int64_t channels = to_channels();
      end_.run_tape(context, {row, row + pixels(), 0, channels}, tile, channels,
                    local + contracted_offset() + line_bytes(channels));
    }
  }

  bool spreads() const { return !backward_ && geometry_.outputs > 1; }

  void contract(const T* tile, T* sums, int64_t pixel) const {
    const int64_t n = geometry_.outputs;
    for (int64_t i = 0; i < pixels(); ++i, sums += pixel) {
      for (int64_t channel = 0; channel < geometry_.groups; ++channel, tile += n) {
        T sum = tile[0];
        for (int64_t j = 1; j < n; ++j) sum += tile[j];
        sums[channel] = sum;
      }
    }
  }

  FilterGeometry geometry_;
  bool backward_;
  Buffer from_, filters_, to_;
  int64_t outputs_;  // of a pixel
  WindowLines lines_;
  Spread<T> spread_;
  ProductEnd<T> end_;
  Split split_;  // of lines
};

}  // namespace

Prepared prepare_depthwise(const Binding& binding, bool backward) {
  if (fits_boxes(binding, backward)) return prepare_depthwise_boxes(binding, backward);
  if (binding.operands[0].dtype == DType::f32) {
    return std::make_unique<Depthwise<float>>(binding, backward);
  }
  return std::make_unique<Depthwise<double>>(binding, backward);
}

}  // namespace slim::SLIM_ISA_NAMESPACE
