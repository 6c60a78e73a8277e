// Looks through flat gradients: finiteness, norm, clipping.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ir/graph.h"

namespace slim {

bool all_finite(const std::byte* data, int64_t count, DType dtype);

// Whether f64 numbers are finite and stay so as f32.
bool fits_f32(const std::byte* data, int64_t count);

// In f64 and in one order, whatever the lanes: sums of fixed blocks are added up by the caller.
double sum_of_squares(const std::byte* data, int64_t count, DType dtype);

// What penalties add to a gradient: l1 · sign(weight) + l2 · weight.
struct Penalty {
  double l1 = 0;
  double l2 = 0;
};
// The two numbers at a place.
Penalty penalty_in(const std::byte* place);
void add_penalty(std::byte* gradient, const std::byte* weights, int64_t count, DType dtype,
                 Penalty penalty);

// dst[i] += src[i]
void add_values(std::byte* dst, const std::byte* src, int64_t count, DType dtype);

// Into [-limit, limit]; a NaN stays.
void clip_values(std::byte* data, int64_t count, DType dtype, double limit);

}  // namespace slim
