// The launches of a reduction: over all of it or over slices of it, which another one merges.
// What no element type and no fold decides is in reduction_launch.cpp, once.
#pragma once

#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "cpu/reduce/reduction_axes.h"
#include "cpu/reduce/reductions.h"

namespace slim::SLIM_ISA_NAMESPACE {

// What numbers tell of a reduction.
struct ReductionKind {
  int64_t size, lanes;  // of an element, of a vector
  int64_t most;         // vectors of a block of columns
  int results;
  bool sliced;
  double flops;  // for a term
};

template <class T, class Terms, class Reduction>
constexpr ReductionKind kind_of() {
  constexpr int kResults = kParts<typename Reduction::Value>;
  return {.size = sizeof(T),
          .lanes = kLanes<T>,
          .most = Reduction::kMost,
          .results = kResults,
          .sliced = Reduction::kSliced,
          .flops = (std::is_pointer_v<Terms> ? 1.0 : 2.0) * kResults};
}

// Over the axes of a binding; reduced ones are 1 in the results or absent.
Walk walk_of(const Binding& binding, const ReductionKind& kind);

// Bytes of what slices have as results: nothing where there is but one.
std::vector<int64_t> slices_workspace(const Binding& binding, const ReductionKind& kind);

// Where a reduction reads and stores: a buffer for each part of its results.
struct Ends {
  std::vector<Buffer> src, dst;
  std::vector<Buffer> partial = {};  // [slices, results]: of a reduction that may be cut
  std::optional<Buffer> known = {};  // of each result, before (Start)
  int64_t capacity = 1;
};

class ReductionLaunch : public Launch {
 public:
  ReductionLaunch(const Ends& ends, const Walk& walk, const ReductionKind& kind);
  ~ReductionLaunch() override;

  int64_t tasks(int64_t rows) const final;
  void run(const Context& context, int64_t task, std::byte*) const noexcept final;
  bool takes_rows() const final { return units_in_row_ > 0; }
  void run_rows(const Context& context, int64_t first, int64_t last,
                std::byte*) const noexcept final;
  Cost cost(int64_t rows) const final;

 protected:
  // Runs first … end - 1 of units; of all of them there is no slice.
  struct Part {
    int64_t unit, last_unit, first, end;
    int64_t slice = -1;
    bool is_short = false;  // units of one run, whose results follow each other
  };
  virtual void fold(const Context& context, const Part& part) const noexcept = 0;

  Ends ends_;
  Walk walk_;

 private:
  int64_t slices(int64_t rows) const;
  // All terms of some units.
  void fold_whole(const Context& context, int64_t unit, int64_t last_unit) const noexcept;

  ReductionKind kind_;
  Split split_;
  bool plain_;                // nothing is known, and results lie together
  int64_t units_in_row_ = 0;  // of one leading index; 0: it is summed away, or part of a line
};

template <class T, class Terms, class Reduction, class Way>
class FoldLaunch final : public ReductionLaunch {
  static constexpr int kResults = kParts<typename Reduction::Value>;

 public:
  using ReductionLaunch::ReductionLaunch;

 private:
  void fold(const Context& context, const Part& part) const noexcept override {
    const Terms base = terms(context);
    const Way way(walk_, context.rows);
    const T* known = ends_.known ? ends_.known->in<T>(context) : nullptr;
    const bool sliced = part.slice >= 0;
    Places<T, kResults> dst;
    for (int i = 0; i < kResults; ++i) {
      dst.at[i] = (sliced ? ends_.partial[i] : ends_.dst[i]).template in<T>(context);
    }
    if constexpr (Way::kShort) {
      if (part.is_short) {
        return way.reduce_short(Reduction({way.terms(), nullptr}), base, part.unit, part.last_unit,
                                dst);
      }
    }
    const int64_t before = sliced ? part.slice * walk_.results(context.rows) : 0;
    for (int64_t unit = part.unit; unit < part.last_unit; ++unit) {
      const int64_t result = way.result(unit);
      Places<T, kResults> to = dst;
      for (int i = 0; i < kResults; ++i) {
        to.at[i] += sliced ? before + result : ends_.dst[i].at(result);
      }
      const Reduction reduction({way.terms(), known ? known + ends_.known->at(result) : known});
      way.reduce(reduction, base, unit, part.first, part.end, to);
    }
  }

  Terms terms(const Context& context) const {
    const T* a = ends_.src[0].template in<T>(context);
    if constexpr (std::is_pointer_v<Terms>) {
      return a;
    } else if constexpr (Terms::kOperands == 2) {
      return {a, ends_.src[1].template in<T>(context)};
    } else {
      return {a};
    }
  }
};

// Of `count` results, of which each slice has one `stride` elements further.
using Merge = void (*)(const std::byte* partial, int64_t stride, int64_t slices, std::byte* dst,
                       int64_t count);

template <class T, class Fold>
void merge_slices(const std::byte* partial, int64_t stride, int64_t slices, std::byte* dst,
                  int64_t count) {
  const auto* src = reinterpret_cast<const T*>(partial);
  const Fold fold;
  for (int64_t i = 0; i < count; i += kLanes<T>) {
    Vec<T> v = load(src + i);
    for (int64_t slice = 1; slice < slices; ++slice) {
      v = fold.merge(v, load(src + slice * stride + i));
    }
    store_first(reinterpret_cast<T*>(dst) + i, v, std::min<int64_t>(kLanes<T>, count - i));
  }
}

void add_merge(Prepared& prepared, const Ends& ends, const Walk& walk, const ReductionKind& kind,
               Merge merge);

template <class T, class Terms, class Reduction>
void add_launches(Prepared& prepared, const Walk& walk, const Ends& ends) {
  constexpr ReductionKind kKind = kind_of<T, Terms, Reduction>();
  using AlongLines = FoldLaunch<T, Terms, Reduction, Lines<T>>;
  using DownColumns = FoldLaunch<T, Terms, Reduction, Columns<T, Reduction::kMost>>;
  std::unique_ptr<Launch> launch;
  if (walk.lines) {
    launch = std::make_unique<AlongLines>(ends, walk, kKind);
  } else {
    launch = std::make_unique<DownColumns>(ends, walk, kKind);
  }
  prepared.launches.push_back(std::move(launch));
  if constexpr (Reduction::kSliced) {
    if (!ends.partial.empty()) {
      add_merge(prepared, ends, walk, kKind, merge_slices<T, typename Reduction::Merge>);
    }
  }
}

// The two phases of a kernel, for the element type, the terms and the reduction that a binding
// comes down to.
struct Sizes {
  const Binding& binding;

  template <class T, class Terms, class Reduction>
  std::vector<int64_t> run() const {
    return slices_workspace(binding, kind_of<T, Terms, Reduction>());
  }
};

struct Launches {
  const Binding& binding;

  Ends ends() const {
    return {.src = binding.operands,
            .dst = binding.results,
            .partial = binding.workspace,
            .capacity = capacity_of(binding)};
  }

  template <class T, class Terms, class Reduction>
  Prepared run() const {
    Prepared prepared;
    const Walk walk = walk_of(binding, kind_of<T, Terms, Reduction>());
    add_launches<T, Terms, Reduction>(prepared, walk, ends());
    return prepared;
  }
};

}  // namespace slim::SLIM_ISA_NAMESPACE
