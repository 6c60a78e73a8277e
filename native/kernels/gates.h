// The regions that a step of an LSTM or a GRU and the way back through it are. Device-independent.
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "kernels/kernel.h"

namespace slim {

// Where a value of such a region lies.
struct GatePlace {
  Base base = Base::scratch;
  int64_t offset = 0, row = 0;  // bytes, and bytes from row to row
  bool there = false;
};

// Rows may have masks, of bool: what is shut keeps its state and shows zeros.
struct Gates {
  enum class Kind : uint8_t { lstm, lstm_back, gru, gru_back };
  // Where `values` has which; behind the last operand come the results.
  struct Lstm {
    enum : size_t { i, f, g, o, c, h, mask, I, F, G, O, C, T, H, next_h, next_c, output, count };
  };
  struct LstmBack {  // slopes in small letters, of the state after and before in d and D
    enum : size_t { h, y, T, O, d, c, F, G, I, mask_h, mask_c, mask_y, o, D, f, g, i, rest, count };
  };
  struct Gru {
    enum : size_t { xz, hz, xr, hr, hn, xn, h, mask, Z, R, N, D, H, next_h, output, count };
  };
  struct GruBack {
    enum : size_t { h, y, D, Z, N, hn, R, mask_h, mask_y, rest, n, dhn, r, z, count };
  };
  static constexpr size_t kMost = LstmBack::count;
  static_assert(Lstm::count <= kMost && Gru::count <= kMost && GruBack::count <= kMost);

  Kind kind = Kind::lstm;
  std::array<GatePlace, kMost> values;
  double flops = 0;  // of an element
};

// Nothing if the fused node is another one, or not of rows of f32 of one length.
std::optional<Gates> find_gates(const Binding& binding);

}  // namespace slim
