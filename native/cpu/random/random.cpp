// Kernels of random numbers: random_uniform, random_normal, dropout. Several Philox counters
// advance at once; every element takes the bits of its own (row, column).
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "cpu/check.h"
#include "cpu/kernel_set.h"
#include "cpu/lanes.h"
#include "cpu/split.h"
#include "cpu/tape/tape.h"
#include "cpu/vec.h"
#include "kernels/philox.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

using U64 = Vec<uint64_t>;

SLIM_INLINE U64 multiply_low_words(U64 a, uint32_t b) {
#if defined(__AVX512F__)
  return bits_as<U64>(_mm512_maskz_mul_epu32(0xff, bits_as<__m512i>(a), _mm512_set1_epi64(b)));
#elif defined(__AVX2__)
  return bits_as<U64>(_mm256_mul_epu32(bits_as<__m256i>(a), _mm256_set1_epi64x(b)));
#elif defined(__SSE2__)
  return bits_as<U64>(_mm_mul_epu32(bits_as<__m128i>(a), _mm_set1_epi64x(b)));
#else
  return (a & uint64_t{0xffffffffu}) * uint64_t{b};
#endif
}

constexpr int kWidth = kLanes<uint64_t>;
constexpr int kBlocks = 2 * kWidth;  // counters of one draw

// Two vectors of counters at once: neither waits for the other's products.
struct Chains {
  U64 a, b;

  SLIM_INLINE friend Chains operator^(Chains x, Chains y) { return {x.a ^ y.a, x.b ^ y.b}; }
  SLIM_INLINE friend Chains operator^(Chains x, U64 key) { return {x.a ^ key, x.b ^ key}; }
  SLIM_INLINE friend Chains operator>>(Chains x, int bits) { return {x.a >> bits, x.b >> bits}; }
};

// The rounds' keys, in vectors once for all draws of a task.
class DrawKeys {
 public:
  explicit DrawKeys(PhiloxKeys keys) {
    for (int round = 0; round < kPhiloxRounds; ++round) {
      first_[round] = broadcast<U64>(keys.first(round));
      second_[round] = broadcast<U64>(keys.second(round));
    }
  }
  SLIM_INLINE U64 first(int round) const { return first_[round]; }
  SLIM_INLINE U64 second(int round) const { return second_[round]; }

 private:
  U64 first_[kPhiloxRounds], second_[kPhiloxRounds];
};

// The place of a stretch of columns in the random sequence.
struct Stretch {
  const DrawKeys& keys;
  uint32_t seed, stream;
  uint32_t row;
  uint64_t step;  // philox_time

  // A uniform number of one column, from a stream beside the stretch's own.
  double once_more(int64_t column) const {
    const PhiloxDraw drawn = philox(seed, ~stream, static_cast<uint32_t>(column), row, step);
    return uniform_f64(drawn.word[0], drawn.word[1]);
  }

  // Words of kBlocks blocks from `block` on, in the order of the columns.
  SLIM_INLINE void draw(int64_t block, uint32_t (&words)[kBlocks][4]) const {
    const U64 first = lane_numbers<U64>() + static_cast<uint64_t>(block);
    const Chains c0{first, first + uint64_t{kWidth}};
    const auto drawn = philox_rounds(c0, both(row), both(step & 0xffffffffu), both(step >> 32),
                                     keys, [](Chains c, uint32_t factor) {
                                       return Chains{multiply_low_words(c.a, factor),
                                                     multiply_low_words(c.b, factor)};
                                     });
    put(drawn.word[0].a, drawn.word[1].a, drawn.word[2].a, drawn.word[3].a, words[0]);
    put(drawn.word[0].b, drawn.word[1].b, drawn.word[2].b, drawn.word[3].b, words[kWidth]);
  }

 private:
  SLIM_INLINE static Chains both(uint64_t x) { return {broadcast<U64>(x), broadcast<U64>(x)}; }

  // The four words of each block beside each other.
  SLIM_INLINE static void put(U64 w0, U64 w1, U64 w2, U64 w3, uint32_t* words) {
    const U64 front = pair(w0, w1), back = pair(w2, w3);
    const auto lanes = std::make_integer_sequence<int, kWidth>();
    const U64 blocks[2] = {interleave<0>(front, back, lanes),
                           interleave<kWidth / 2>(front, back, lanes)};
    __builtin_memcpy(words, blocks, sizeof(blocks));
  }

  // Two words as they lie in (little-endian) memory.
  SLIM_INLINE static U64 pair(U64 low, U64 high) { return (low & 0xffffffffu) | (high << 32); }

  // a[from], b[from], a[from + 1], b[from + 1], ...
  template <int from, int... lane>
  SLIM_INLINE static U64 interleave(U64 a, U64 b, std::integer_sequence<int, lane...>) {
    return __builtin_shufflevector(a, b, (from + lane / 2 + lane % 2 * kWidth)...);
  }
};

// Which stretches a value consists of: one a row if its leading dimension is the batch's,
// else one in all. Tasks cut it by rows, or by columns in whole draws.
class Stretches {
 public:
  Stretches(const Binding& binding, int64_t per_block)
      : dst_(binding.results[0]), per_draw_(per_block * kBlocks) {
    const Type& type = binding.graph.values[binding.node.results[0]].type;
    by_row_ = !type.dims.empty() && type.dims[0].mentions("B");
    if (by_row_) per_row_ = type.dims[0].multiple_of("B").value_or(1);
    columns_ = by_row_ ? dst_.inner() : dst_.count(0);
    stream_ = static_cast<uint32_t>(binding.integer("stream", 0));
    // A number costs about what moving 32 bytes does.
    split_ = by_row_ ? Split::by_bytes(32 * columns_) : Split::by_bytes(32, per_draw_);
  }

  int64_t tasks(int64_t rows) const {
    return split_.tasks(by_row_ ? dst_.leading(rows) : columns_);
  }

  bool by_row() const { return by_row_; }
  int64_t first(int64_t task) const { return split_.first(task); }
  int64_t last(const Context& context, int64_t task) const {
    return split_.last(task, by_row_ ? dst_.leading(context.rows) : columns_);
  }

  // Of rows or columns: each(stretch, first column, number of columns, first element)
  template <class Each>
  SLIM_INLINE void run(const Context& context, int64_t first, int64_t last, Each each) const {
    const auto step = static_cast<uint64_t>(context.step);  // inside of a loop a philox_time
    const DrawKeys keys({context.seed, stream_});
    if (!by_row_) {
      each(Stretch{keys, context.seed, stream_, 0, step}, first, last - first, first);
      return;
    }
    for (int64_t row = first; row < last; ++row) {
      const auto counter = static_cast<uint32_t>(context.first_row * per_row_ + row);
      each(Stretch{keys, context.seed, stream_, counter, step}, 0, columns_, row * columns_);
    }
  }

  double elements(int64_t rows) const { return static_cast<double>(dst_.count(rows)); }

 private:
  Buffer dst_;
  int64_t per_draw_;  // columns that one draw serves
  bool by_row_;
  int64_t per_row_ = 1;  // leading indices for every row of the batch
  int64_t columns_;
  uint32_t stream_;
  Split split_;
};

// Numbers of [0, 1).
template <class T>
struct Uniform {
  static constexpr int kPerBlock = 16 / sizeof(T);
  static constexpr double kFlops = 16;

  // Those of `n` columns from `column` on, where a block begins.
  static void draw(const Stretch& stretch, int64_t column, int64_t n, T* dst) {
    for (int64_t i = 0; i < n; i += kPerBlock * kBlocks) {
      uint32_t words[kBlocks][4];
      stretch.draw((column + i) / kPerBlock, words);
      T numbers[kBlocks * kPerBlock];
      for (int j = 0; j < kBlocks * kPerBlock; ++j) {
        if constexpr (sizeof(T) == 4) {
          numbers[j] = uniform_f32(words[j / 4][j % 4]);
        } else {
          numbers[j] = uniform_f64(words[j / 2][j % 2 * 2], words[j / 2][j % 2 * 2 + 1]);
        }
      }
      std::copy_n(numbers, std::min<int64_t>(n - i, kBlocks * kPerBlock), dst + i);
    }
  }
};

// Box and Muller (1958): two uniforms give two normals.
template <class T>
struct Normal {
  static constexpr int kPerBlock = 2;
  static constexpr double kFlops = 100;

  static void draw(const Stretch& stretch, int64_t column, int64_t n, T* dst) {
    for (int64_t i = 0; i < n; i += kPerBlock * kBlocks) {
      uint32_t words[kBlocks][4];
      stretch.draw((column + i) / kPerBlock, words);
      const int64_t end = std::min<int64_t>(n - i, kPerBlock * kBlocks);
      for (int64_t j = 0; j < end; j += 2) {
        const uint32_t* word = words[j / 2];
        const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform_f64(word[0], word[1])));
        const double angle = 2.0 * M_PI * uniform_f64(word[2], word[3]);
        dst[i + j] = static_cast<T>(radius * std::cos(angle));
        if (j + 1 < end) dst[i + j + 1] = static_cast<T>(radius * std::sin(angle));
      }
    }
  }
};

// What draws: a task, or rows of a loop.
class DrawLaunch : public Launch {
 public:
  DrawLaunch(const Binding& binding, int64_t per_block) : stretches_(binding, per_block) {}

  int64_t tasks(int64_t rows) const final { return stretches_.tasks(rows); }

  void run(const Context& context, int64_t task, std::byte* local) const noexcept final {
    draw(context, stretches_.first(task), stretches_.last(context, task), local);
  }

  bool takes_rows() const final { return stretches_.by_row(); }

  void run_rows(const Context& context, int64_t first, int64_t last,
                std::byte* local) const noexcept final {
    draw(context, first, last, local);
  }

 protected:
  virtual void draw(const Context& context, int64_t first, int64_t last,
                    std::byte* local) const noexcept = 0;

  Stretches stretches_;
};

// Draws whole values, or pieces that stay in L1 and that a region, a tape, makes the results of.
template <class T, template <class> class Numbers>
class RandomLaunch final : public DrawLaunch {
 public:
  explicit RandomLaunch(const Binding& binding)
      : DrawLaunch(binding, kPerBlock), dst_(binding.results[0]) {
    if (binding.node.regions.empty()) return;
    row_ = dst_.dims.back();
    tape_.emplace(binding, binding.node.regions[0], epilogue_operands(binding), binding.results,
                  SpaceSplit::last_axis);
  }

  int64_t local_bytes() const override { return tape_ ? kTileBytes + tape_->local_bytes() : 0; }

  void draw(const Context& context, int64_t first, int64_t last,
            std::byte* local) const noexcept override {
    if (!tape_) {
      T* dst = dst_.in<T>(context);
      stretches_.run(context, first, last,
                     [dst](const Stretch& stretch, int64_t column, int64_t n, int64_t element) {
                       Numbers<T>::draw(stretch, column, n, dst + element);
                     });
      return;
    }
    stretches_.run(context, first, last,
                   [&](const Stretch& stretch, int64_t begin, int64_t n, int64_t) {
                     for (int64_t at = begin, end = begin + n; at < end;) {
                       at += run_piece(context, stretch, at, end, local);
                     }
                   });
  }

  Cost cost(int64_t rows) const override {
    const double elements = stretches_.elements(rows);
    const double flops = Numbers<T>::kFlops + (tape_ ? tape_->flops_per_element() : 0);
    return {flops * elements, static_cast<double>(size_of(dst_.dtype)) * elements};
  }

 private:
  static constexpr int kPerBlock = Numbers<T>::kPerBlock;
  static constexpr int64_t kTile = (16 << 10) / sizeof(T);
  static constexpr int64_t kTileBytes =  // with what is drawn before, and readable slack behind
      kTile * sizeof(T) + 2 * kAlignment;

  // From element `at` on: whole rows, or what there is of one. Returns how many elements.
  int64_t run_piece(const Context& context, const Stretch& stretch, int64_t at, int64_t end,
                    std::byte* local) const {
    const int64_t row = at / row_, column = at % row_, left = std::min(end - at, kTile);
    const int64_t rows = column == 0 && left >= row_ ? left / row_ : 1;
    const int64_t columns = std::min(row_ - column, left);
    const int64_t before = at % kPerBlock;  // of the block in which the piece begins
    T* tile = reinterpret_cast<T*>(local);
    Numbers<T>::draw(stretch, at - before, before + rows * columns, tile);
    const TapeRunner::Override drawn{reinterpret_cast<std::byte*>(tile + before), columns};
    tape_->run(context, {row, row + rows, column, column + columns}, local + kTileBytes, &drawn);
    return rows * columns;
  }

  Buffer dst_;
  int64_t row_ = 0;
  std::optional<TapeRunner> tape_;
};

// As a region gets them, or the result.
DType drawn_type(const Binding& binding) {
  if (binding.node.regions.empty()) return binding.results[0].dtype;
  const Graph& region = binding.node.regions[0];
  return region.values[region.parameters[0]].type.dtype;
}

template <template <class> class Numbers>
Prepared prepare_random(const Binding& binding) {
  if (drawn_type(binding) == DType::f32) {
    return std::make_unique<RandomLaunch<float, Numbers>>(binding);
  }
  return std::make_unique<RandomLaunch<double, Numbers>>(binding);
}

// Whether dropout keeps an element: by 16 bits, eight elements a block, and where these stand
// right at the edge by 53 more, so that `keep_prob` is met however small it is.
class Keep {
 public:
  explicit Keep(double keep_prob) {
    const double scaled = std::clamp(keep_prob, 0.0, 1.0) * 65536.0, whole = std::floor(scaled);
    edge_ = static_cast<int>(whole);
    rest_ = scaled - whole;
    threshold_ = rest_ > 0 ? std::max(edge_, 1) : edge_;
  }

  // An element is kept whose bits, once settled, are less.
  int threshold() const { return threshold_; }

  // Decides those at the edge among `count` columns from `column` on.
  SLIM_INLINE void settle(uint16_t* bits, int64_t count, int64_t column,
                          const Stretch& stretch) const {
    if (rest_ == 0) return;
    uint16_t found = 0;
    for (int64_t i = 0; i < count; ++i) found |= static_cast<uint16_t>(bits[i] == edge_);
    if (found == 0) return;
    for (int64_t i = 0; i < count; ++i) {
      if (bits[i] != edge_) continue;
      bits[i] = stretch.once_more(column + i) < rest_ ? 0 : static_cast<uint16_t>(threshold_);
    }
  }

 private:
  int edge_, threshold_;
  double rest_;
};

template <class T>
class DropoutLaunch final : public DrawLaunch {
  using V = Vec<T>;

 public:
  explicit DropoutLaunch(const Binding& binding)
      : DrawLaunch(binding, 8),
        src_(binding.operands[0]),
        keep_(binding.operands[1]),
        dst_(binding.results[0]) {}

  void draw(const Context& context, int64_t first, int64_t last,
            std::byte*) const noexcept override {
    const T* src = src_.in<T>(context);
    T* dst = dst_.in<T>(context);
    const T keep = *keep_.in<T>(context);
    const T scale = T{1} / keep;
    const Keep decision(static_cast<double>(keep));
    const auto threshold = static_cast<Lane<Mask<V>>>(decision.threshold());
    stretches_.run(
        context, first, last,
        [=](const Stretch& stretch, int64_t column, int64_t n, int64_t element) {
          constexpr int kColumns = 8 * kBlocks;
          for (int64_t i = 0; i < n; i += kColumns) {
            union {
              uint32_t words[kBlocks][4];
              uint16_t bits[kColumns];  // little-endian halves: in the order of the columns
            } drawn;
            stretch.draw((column + i) / 8, drawn.words);
            decision.settle(drawn.bits, kColumns, column + i, stretch);
            const T* from = src + element + i;
            T* to = dst + element + i;
            const auto kept = [&](int64_t j) {
              return select(widen(drawn.bits + j) < threshold, load(from + j) * scale, V{});
            };
            if (n - i >= kColumns) {
#pragma GCC unroll 4
              for (int64_t j = 0; j < kColumns; j += kLanes<T>) store(to + j, kept(j));
              continue;
            }
            for (int64_t j = 0; j < n - i; j += kLanes<T>) {
              store_first(to + j, kept(j), std::min<int64_t>(n - i - j, kLanes<T>));
            }
          }
        });
  }

  Cost cost(int64_t rows) const override {
    return {8 * stretches_.elements(rows), 2 * sizeof(T) * stretches_.elements(rows)};
  }

 private:
  // As many 16-bit numbers as V has lanes.
  SLIM_INLINE static Mask<V> widen(const uint16_t* src) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      return bits_as<Mask<V>>(_mm512_maskz_cvtepu16_epi32(
          0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src))));
    }
#endif
    typename VectorOf<uint16_t, 2 * kLanes<T>>::type narrow;
    __builtin_memcpy(&narrow, src, sizeof(narrow));
    return __builtin_convertvector(narrow, Mask<V>);
  }

  Buffer src_, keep_, dst_;
};

Prepared prepare_dropout(const Binding& binding) {
  if (binding.results[0].dtype == DType::f32)
    return std::make_unique<DropoutLaunch<float>>(binding);
  return std::make_unique<DropoutLaunch<double>>(binding);
}

}  // namespace

SLIM_KERNEL(random_uniform, prepare_random<Uniform>);
SLIM_KERNEL(random_normal, prepare_random<Normal>);
SLIM_KERNEL(dropout, prepare_dropout);

}  // namespace slim::SLIM_ISA_NAMESPACE
