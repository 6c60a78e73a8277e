// Convolutions that pool their map while it is hot, and what goes back through both.
#pragma once

#include "cpu/conv/region.h"
#include "cpu/gemm/plan.h"
#include "cpu/vec.h"

namespace slim::SLIM_ISA_NAMESPACE {

// The largest of windows side by side over what a convolution gives; x, filters and what lies in
// windows, one number each, by where the op has them.
struct PooledGeometry {
  Buffer map;  // what the convolution alone would give; it has no place
  FilterGeometry geometry;
  int64_t height, width;  // of a window
  int64_t rows, columns;  // of windows

  PooledGeometry(const Binding& binding, const Buffer& x, const std::vector<int64_t>& filters,
                 const Buffer& pooled)
      : map(map_of(binding, x, filters, pooled)),
        geometry(binding, x, filters, map),
        height(binding.integers("pool")[0]),
        width(binding.integers("pool")[1]),
        rows(pooled.dims[1]),
        columns(pooled.dims[2]) {}

  bool halves() const { return height == 2 && width == 2; }

 private:
  static Buffer map_of(const Binding& binding, const Buffer& x, const std::vector<int64_t>& filters,
                       const Buffer& pooled) {
    const auto strides = binding.integers("strides"), dilations = binding.integers("dilations");
    const auto padding = binding.integers("padding");
    Buffer map = pooled;
    map.row_stride = 0;
    for (size_t axis = 0; axis < strides.size(); ++axis) {
      const int64_t padded = x.dims[1 + axis] + padding[2 * axis] + padding[2 * axis + 1];
      const int64_t reach = (filters[axis] - 1) * dilations[axis] + 1;
      map.dims[1 + axis] = (padded - reach) / strides[axis] + 1;
    }
    return map;
  }
};

// 3×3 filters that slide by one over images, and the largest of each 2×2.
inline bool is_usual_pooling(const PooledGeometry& p) {
  const FilterGeometry& g = p.geometry;
  return p.halves() && g.flat() && g.groups == 1 && g.kernel == PerAxis{1, 3, 3} &&
         g.stride == PerAxis{1, 1, 1} && g.dilation == PerAxis{1, 1, 1};
}

inline constexpr int64_t kFewChannels = 4;    // filters of so many stay in L1 beside all else
inline constexpr int64_t kWholeVectors = 16;  // channels that are so on every level

inline bool has_few_channels(const FilterGeometry& g) {
  return g.channels <= kFewChannels && g.outputs % kWholeVectors == 0;
}
inline bool has_whole_channels(const FilterGeometry& g) {
  return g.channels % kWholeVectors == 0 && g.outputs % kWholeVectors == 0;
}

// Windows from some on, within an image.
struct WindowBlock {
  int64_t y, x, height, width;

  // What they read of x, with its zeros.
  Box box(const PerAxis& before) const {
    Box box;
    box.origin = {0, 2 * y - before[1], 2 * x - before[2]};
    box.size = {1, 2 * height + 2, 2 * width + 2};
    return box;
  }
};

// The windows of an image in blocks whose box of x stays in L1.
struct WindowBlocks {
  Parts down, across;

  WindowBlocks(const PooledGeometry& p, int64_t pixel_bytes, int64_t most_bytes, int64_t most) {
    const auto bytes = [&](int64_t height, int64_t width) {
      return (2 * height + 2) * (2 * width + 2) * pixel_bytes;
    };
    int64_t width = p.columns, height = 1;
    while (width > 1 && (bytes(1, width) > most_bytes || width > most)) --width;
    across = Parts::of_at_most(p.columns, width);
    width = across.largest();
    while (height < p.rows && bytes(height + 1, width) <= most_bytes &&
           (height + 1) * width <= most) {
      ++height;
    }
    down = Parts::of_at_most(p.rows, height);
  }
  int64_t count() const { return down.count * across.count; }
  WindowBlock at(int64_t i) const {
    const int64_t row = i / across.count, column = i % across.count;
    return {down.begin(row), across.begin(column), down.end(row) - down.begin(row),
            across.end(column) - across.begin(column)};
  }
  WindowBlock largest() const { return {0, 0, down.largest(), across.largest()}; }
};

// A vector of places to bytes and back: a conversion of vectors goes lane by lane. Masks of all
// lanes, since GCC 12 takes the unmasked forms' unread operand for an uninitialised one.
inline void store_bytes(uint8_t* dst, I32 places) {
#if defined(__AVX512F__)
  _mm512_mask_cvtepi32_storeu_epi8(dst, 0xffff, bits_as<__m512i>(places));
#elif defined(__AVX2__)
  const __m256i v = bits_as<__m256i>(places);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(dst), _mm_packus_epi16(words, words));
#else
  for (int i = 0; i < kLanes<float>; ++i) dst[i] = static_cast<uint8_t>(places[i]);
#endif
}
inline I32 load_bytes(const uint8_t* src) {
#if defined(__AVX512F__)
  const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(src));
  return bits_as<I32>(_mm512_maskz_cvtepu8_epi32(0xffff, bytes));
#elif defined(__AVX2__)
  const auto bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(src));
  return bits_as<I32>(_mm256_cvtepu8_epi32(bytes));
#else
  I32 places;
  for (int i = 0; i < kLanes<float>; ++i) places[i] = src[i];
  return places;
#endif
}

// Of whole vectors of at most 64 numbers, a bit for each that is not zero; NaN is one.
inline uint64_t nonzero_bits(const float* src, int64_t count) {
  uint64_t bits = 0;
  for (int64_t i = 0; i < count; i += kLanes<float>) {
    const auto some = load(src + i) != F32{};
#if defined(__AVX512F__)
    const uint64_t of = _mm512_test_epi32_mask(bits_as<__m512i>(some), bits_as<__m512i>(some));
#elif defined(__AVX2__)
    const auto of = static_cast<uint64_t>(_mm256_movemask_ps(bits_as<__m256>(some)));
#else
    uint64_t of = 0;
    for (int lane = 0; lane < kLanes<float>; ++lane) of |= uint64_t{some[lane] != 0} << lane;
#endif
    bits |= of << i;
  }
  return bits;
}

// Of at most 64 bytes, a bit for each that is this one; a multiple of kWholeVectors.
inline uint64_t equal_bits(const uint8_t* src, uint8_t wanted, int64_t count) {
  uint64_t bits = 0;
  for (int64_t i = 0; i < count; i += kWholeVectors) {
#if defined(__SSE2__)
    const auto bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(src + i));
    const auto same = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(static_cast<char>(wanted)));
    bits |= static_cast<uint64_t>(_mm_movemask_epi8(same)) << i;
#else
    for (int64_t k = 0; k < kWholeVectors; ++k) bits |= uint64_t{src[i + k] == wanted} << (i + k);
#endif
  }
  return bits;
}

// The gradient of the filters: no zeros of the map are multiplied. Null: no kernel for the shape.
std::vector<int64_t> pooled_filter_grad_workspace(const Binding& binding);
Prepared prepare_pooled_filter_grad(const Binding& binding);
bool has_pooled_filter_grad(const Binding& binding);
// That of the input.
std::vector<int64_t> pooled_input_grad_workspace(const Binding& binding);
Prepared prepare_pooled_input_grad(const Binding& binding);
bool has_pooled_input_grad(const Binding& binding);
// The convolution itself, of few channels.
Prepared prepare_pooled_few(const Binding& binding);
bool has_pooled_few(const Binding& binding);

}  // namespace slim::SLIM_ISA_NAMESPACE
