// An LSTM's step and the way back through it: what stands between stays in registers, and the bits
// are those of a tape.
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
    if (gates_.back) return way_back(rows, last - first);
    // So few that tanh and output find the state and its gate near.
    constexpr int64_t kElements = 256;
    const int64_t some = std::max<int64_t>(kElements / columns_, 1);
    for (; first < last; first += some) step(rows, std::min(last - first, some));
  }

 private:
  static constexpr int64_t kBytes = 48;  // about what an element moves

  static Count rows_of(const Buffer& one) { return count_of(one, 0, one.dims.size() - 1); }

  // Where a row of each value begins, then the next one's; what nobody reads goes to `local`.
  struct Rows {
    static constexpr size_t kRoom = 16;
    static_assert(Gates::kMost <= kRoom);
    float* at[kRoom];
    int64_t apart[kRoom];  // elements

    Rows(const Gates& gates, const Context& context, int64_t i, std::byte* local) {
      for (size_t k = 0; k < kRoom; ++k) {
        const bool there = k < Gates::kMost && gates.values[k].there;
        at[k] = reinterpret_cast<float*>(local);
        apart[k] = there ? gates.values[k].row : 0;
        if (!there) continue;
        const GatePlace& place = gates.values[k];
        std::byte* base = context.base[static_cast<int>(place.base)] + place.offset;
        at[k] = reinterpret_cast<float*>(base) + i * place.row;
      }
    }
    SLIM_INLINE void next() {
      for (size_t k = 0; k < kRoom; ++k) at[k] += apart[k];
    }
  };

  // visit(the values' rows, column, lanes) of so many rows, a vector at a time.
  template <class Visit>
  SLIM_INLINE void visit(Rows& rows, int64_t count, Visit visit) const {
    for (; count > 0; --count, rows.next()) {
      for (int64_t j = 0; j < columns_; j += kLanes<float>) {
        visit(rows.at, j, std::min<int64_t>(kLanes<float>, columns_ - j));
      }
    }
  }

  void step(Rows& rows, int64_t count) const noexcept {
    Rows again = rows;
    // The gate of the output waits where that will be, if not elsewhere.
    const size_t gate = gates_.values[8].there ? 8 : 11;
    visit(rows, count, [&](float* const* row, int64_t j, int64_t lanes) {
      const F32 i = sigmoid(load(row[0] + j)), f = sigmoid(load(row[1] + j));
      const F32 g = tanh(load(row[2] + j)), o = sigmoid(load(row[3] + j));
      const F32 c = f * load(row[4] + j) + i * g;
      store_first(row[5] + j, i, lanes);
      store_first(row[6] + j, f, lanes);
      store_first(row[7] + j, g, lanes);
      store_first(row[gate] + j, o, lanes);
      store_first(row[9] + j, c, lanes);
    });
    visit(again, count, [&](float* const* row, int64_t j, int64_t lanes) {
      const F32 state = tanh(load(row[9] + j)), h = load(row[gate] + j) * state;
      store_first(row[10] + j, state, lanes);
      store_first(row[11] + j, h, lanes);
    });
  }

  void way_back(Rows& rows, int64_t count) const noexcept {
    const bool alone = gates_.values[0].there;
    visit(rows, count, [&](float* const* row, int64_t j, int64_t lanes) {
      const F32 s = alone ? load(row[0] + j) : load(row[1] + j) + load(row[2] + j);
      const F32 t = load(row[3] + j), o = load(row[4] + j), c = load(row[6] + j);
      const F32 f = load(row[7] + j), g = load(row[8] + j), i = load(row[9] + j);
      const F32 e = load(row[5] + j) + (s * o) * (1 - t * t);
      store_first(row[10] + j, (s * t) * (o * (1 - o)), lanes);
      store_first(row[11] + j, e * f, lanes);
      store_first(row[12] + j, (e * c) * (f * (1 - f)), lanes);
      store_first(row[13] + j, (e * i) * (1 - g * g), lanes);
      store_first(row[14] + j, (e * g) * (i * (1 - i)), lanes);
    });
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
