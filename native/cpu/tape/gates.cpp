// A step of an LSTM or a GRU and the way back through it: what stands between stays in registers,
// and the bits are those of a tape; but slopes of a row that its masks shut are zeros at once.
#include "cpu/tape/gates.h"

#include <algorithm>
#include <memory>

#include "cpu/lanes.h"
#include "cpu/lines.h"
#include "cpu/math.h"
#include "kernels/gates.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

class GateLaunch final : public LineLaunch {
 public:
  GateLaunch(const Binding& binding, const Gates& gates)
      : LineLaunch(rows_of(binding.results[0]),
                   Split::by_bytes(kBytes * binding.results[0].dims.back(), 1, kSliceBytes),
                   lines_in_row(binding.results[0], binding.results[0].dims.size() - 1)),
        gates_(gates),
        rows_(rows_of(binding.results[0])),
        columns_(binding.results[0].dims.back()) {}

  Cost cost(int64_t rows) const override {
    const auto elements = static_cast<double>(rows_(rows) * columns_);
    return {gates_.flops * elements, kBytes * elements};
  }

  int64_t local_bytes() const override { return columns_ * int64_t{sizeof(float)} + kAlignment; }

 protected:
  void run_lines(const Context& context, int64_t first, int64_t last,
                 std::byte* local) const noexcept override {
    Rows rows(gates_, context, first, local);
    switch (gates_.kind) {
      case Gates::Kind::lstm:
        return lstm(rows, last - first);
      case Gates::Kind::lstm_back:
        return lstm_back(rows, last - first);
      case Gates::Kind::gru:
        return gru(rows, last - first);
      case Gates::Kind::gru_back:
        return gru_back(rows, last - first);
    }
  }

 private:
  static constexpr int64_t kBytes = 48;  // about what an element moves

  static Count rows_of(const Buffer& one) { return count_of(one, 0, one.dims.size() - 1); }

  bool has(size_t value) const { return gates_.values[value].there; }

  // A row of each value, then the next one; what nobody reads goes to `local`.
  class Rows {
   public:
    Rows(const Gates& gates, const Context& context, int64_t i, std::byte* local) {
      for (size_t k = 0; k < Gates::kMost; ++k) {
        const GatePlace& place = gates.values[k];
        apart_[k] = place.row;
        at_[k] = place.there
                     ? context.base[static_cast<int>(place.base)] + place.offset + i * place.row
                     : local;
      }
    }
    SLIM_INLINE void next() {
      for (size_t k = 0; k < kRoom; ++k) at_[k] += apart_[k];
    }
    SLIM_INLINE F32 get(size_t value, int64_t j) const {
      return load(reinterpret_cast<const float*>(at_[value]) + j);
    }
    SLIM_INLINE void put(size_t value, F32 v, int64_t j, int64_t lanes) const {
      store_first(reinterpret_cast<float*>(at_[value]) + j, v, lanes);
    }
    // Without a mask all rows are.
    bool is_open(size_t mask, bool masked) const { return !masked || at_[mask][0] != std::byte{}; }

   private:
    static constexpr size_t kRoom = (Gates::kMost + 7) / 8 * 8;  // vectors of places
    std::byte* at_[kRoom] = {};
    int64_t apart_[kRoom] = {};  // bytes
  };

  // visit(column, lanes) of a row, a vector at a time. Results may lie in the place of operands: of
  // these none is read there once something is left.
  template <class Visit>
  SLIM_INLINE void visit(Visit visit) const {
    for (int64_t j = 0; j < columns_; j += kLanes<float>) {
      visit(j, std::min<int64_t>(kLanes<float>, columns_ - j));
    }
  }

  // Zeros in a run of values.
  SLIM_INLINE static void clear(const Rows& rows, size_t first, size_t last, int64_t j,
                                int64_t lanes) {
    for (size_t value = first; value <= last; ++value) rows.put(value, F32{}, j, lanes);
  }

  // Whether any of a run of values is left: gates that the way back reads, or who else.
  bool leaves(size_t first, size_t last) const {
    return std::any_of(gates_.values.begin() + first, gates_.values.begin() + last + 1,
                       [](const GatePlace& place) { return place.there; });
  }

  // A row that a mask shuts keeps its state.
  SLIM_INLINE static void rest(const Rows& rows, F32 c, F32 h, int64_t j, int64_t lanes) {
    rows.put(Gates::Lstm::next_c, c, j, lanes);
    rows.put(Gates::Lstm::next_h, h, j, lanes);
    rows.put(Gates::Lstm::output, F32{}, j, lanes);
  }
  SLIM_INLINE static void rest(const Rows& rows, F32 h, int64_t j, int64_t lanes) {
    rows.put(Gates::Gru::next_h, h, j, lanes);
    rows.put(Gates::Gru::output, F32{}, j, lanes);
  }

  void lstm(Rows& rows, int64_t count) const noexcept {
    using V = Gates::Lstm;
    const bool masked = has(V::mask), kept = leaves(V::I, V::H);
    for (; count > 0; --count, rows.next()) {
      const bool open = rows.is_open(V::mask, masked);
      visit([&](int64_t j, int64_t lanes) {
        const F32 before = rows.get(V::c, j), last = masked ? rows.get(V::h, j) : F32{};
        if (!open && !kept) return rest(rows, before, last, j, lanes);
        const F32 i = sigmoid(rows.get(V::i, j)), f = sigmoid(rows.get(V::f, j));
        const F32 g = tanh(rows.get(V::g, j)), o = sigmoid(rows.get(V::o, j));
        const F32 c = f * before + i * g;
        rows.put(V::I, i, j, lanes);
        rows.put(V::F, f, j, lanes);
        rows.put(V::G, g, j, lanes);
        rows.put(V::O, o, j, lanes);
        rows.put(V::C, c, j, lanes);
        const F32 t = tanh(c), h = o * t;
        rows.put(V::T, t, j, lanes);
        rows.put(V::H, h, j, lanes);
        if (!open) return rest(rows, before, last, j, lanes);
        if (!masked) return;
        rows.put(V::next_c, c, j, lanes);
        rows.put(V::next_h, h, j, lanes);
        rows.put(V::output, h, j, lanes);
      });
    }
  }

  void gru(Rows& rows, int64_t count) const noexcept {
    using V = Gates::Gru;
    const bool masked = has(V::mask), kept = leaves(V::Z, V::H);
    for (; count > 0; --count, rows.next()) {
      const bool open = rows.is_open(V::mask, masked);
      visit([&](int64_t j, int64_t lanes) {
        const F32 before = rows.get(V::h, j);
        if (!open && !kept) return rest(rows, before, j, lanes);
        const F32 z = sigmoid(rows.get(V::xz, j) + rows.get(V::hz, j));
        const F32 r = sigmoid(rows.get(V::xr, j) + rows.get(V::hr, j));
        const F32 n = tanh(rows.get(V::xn, j) + r * rows.get(V::hn, j));
        const F32 d = before - n, h = n + z * d;
        rows.put(V::Z, z, j, lanes);
        rows.put(V::R, r, j, lanes);
        rows.put(V::N, n, j, lanes);
        rows.put(V::D, d, j, lanes);
        rows.put(V::H, h, j, lanes);
        if (!open) return rest(rows, before, j, lanes);
        if (!masked) return;
        rows.put(V::next_h, h, j, lanes);
        rows.put(V::output, h, j, lanes);
      });
    }
  }

  // Of a slope that the next step hands back what a mask passes; `rest`: what it does not.
  SLIM_INLINE static F32 passed(F32 slope, bool open, F32* rest) {
    *rest = open ? F32{} : slope;
    return open ? slope : F32{};
  }

  void lstm_back(Rows& rows, int64_t count) const noexcept {
    using V = Gates::LstmBack;
    const bool masked = has(V::mask_h), seen = has(V::y), seen_masked = has(V::mask_y);
    for (; count > 0; --count, rows.next()) {
      const bool open_h = rows.is_open(V::mask_h, masked), open_c = rows.is_open(V::mask_c, masked);
      const bool shown = seen && rows.is_open(V::mask_y, seen_masked);
      visit([&](int64_t j, int64_t lanes) {
        F32 rest_h, rest_c;
        F32 s = passed(rows.get(V::h, j), open_h, &rest_h);
        if (seen) s = s + (shown ? rows.get(V::y, j) : F32{});
        const F32 d = passed(rows.get(V::d, j), open_c, &rest_c);
        if (!open_h && !open_c && !shown) {
          clear(rows, V::o, V::i, j, lanes);
          rows.put(V::D, rest_c, j, lanes);
          return rows.put(V::rest, rest_h, j, lanes);
        }
        const F32 t = rows.get(V::T, j), o = rows.get(V::O, j), c = rows.get(V::c, j);
        const F32 f = rows.get(V::F, j), g = rows.get(V::G, j), i = rows.get(V::I, j);
        const F32 e = d + (s * o) * (1 - t * t);
        rows.put(V::o, (s * t) * (o * (1 - o)), j, lanes);
        rows.put(V::D, masked ? rest_c + e * f : e * f, j, lanes);
        rows.put(V::f, (e * c) * (f * (1 - f)), j, lanes);
        rows.put(V::g, (e * i) * (1 - g * g), j, lanes);
        rows.put(V::i, (e * g) * (i * (1 - i)), j, lanes);
        if (masked) rows.put(V::rest, rest_h, j, lanes);
      });
    }
  }

  void gru_back(Rows& rows, int64_t count) const noexcept {
    using V = Gates::GruBack;
    const bool masked = has(V::mask_h), seen = has(V::y), seen_masked = has(V::mask_y);
    for (; count > 0; --count, rows.next()) {
      const bool open = rows.is_open(V::mask_h, masked);
      const bool shown = seen && rows.is_open(V::mask_y, seen_masked);
      visit([&](int64_t j, int64_t lanes) {
        F32 rest_h;
        F32 s = passed(rows.get(V::h, j), open, &rest_h);
        if (seen) s = s + (shown ? rows.get(V::y, j) : F32{});
        if (!open && !shown) {
          clear(rows, V::rest, V::z, j, lanes);
          return rows.put(V::rest, rest_h, j, lanes);
        }
        const F32 d = rows.get(V::D, j), z = rows.get(V::Z, j), n = rows.get(V::N, j);
        const F32 hn = rows.get(V::hn, j), r = rows.get(V::R, j);
        const F32 kept = s * z, slope = (s - kept) * (1 - n * n);
        rows.put(V::rest, masked ? rest_h + kept : kept, j, lanes);
        rows.put(V::n, slope, j, lanes);
        rows.put(V::dhn, slope * r, j, lanes);
        rows.put(V::r, (slope * hn) * (r * (1 - r)), j, lanes);
        rows.put(V::z, (s * d) * (z * (1 - z)), j, lanes);
      });
    }
  }

  Gates gates_;
  Count rows_;
  int64_t columns_;
};

}  // namespace

std::optional<Prepared> prepare_gates(const Binding& binding) {
  const auto gates = find_gates(binding);
  if (!gates) return std::nullopt;
  return Prepared(std::make_unique<GateLaunch>(binding, *gates));
}

}  // namespace slim::SLIM_ISA_NAMESPACE
