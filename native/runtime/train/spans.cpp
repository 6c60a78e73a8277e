// Cuts batches into parts and binds the plans that these take.
#include "runtime/train/spans.h"

#include <algorithm>

#include "runtime/call/team.h"
#include "runtime/data/bind.h"

namespace slim {
namespace {

std::vector<Spans::Part> parts_of(int64_t rows, const Cut& cut) {
  const int64_t begin = rows * cut.rank / cut.ranks, end = rows * (cut.rank + 1) / cut.ranks;
  std::vector<Spans::Part> parts;
  if (begin == end) return parts;
  const BatchRule rule{end - begin, std::min(cut.rows, end - begin)};
  for (int64_t i = 0; i < rule.steps(); ++i) {
    parts.push_back({begin + rule.begin(i), rule.count(i), 0});
  }
  return parts;
}

}  // namespace

Spans::Spans(const Model& model, const std::string& function, const BatchRule& rule, const Cut& cut,
             const std::vector<Source>& sources, const std::vector<uint32_t>& index,
             const Arrays& arrays, uint32_t seed, int threads, int64_t runs)
    : buckets_(sources) {
  const int64_t steps = rule.steps(), last = rule.count(steps - 1);
  const int64_t alike = last == rule.batch ? steps : steps - 1;
  if (alike > 0) table_.push_back({0, alike, rule.batch, parts_of(rule.batch, cut)});
  if (alike < steps) table_.push_back({alike, steps, last, parts_of(last, cut)});

  std::vector<int64_t> sizes;  // largest first
  for (const Span& span : table_) {
    for (const Part& part : span.parts) sizes.push_back(part.rows);
  }
  std::sort(sizes.rbegin(), sizes.rend());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  if (sizes.empty()) return;
  check_lengths(sources, index);
  const auto symbols_of_bucket = [&](const std::vector<Source>& sized) {
    return bind_symbols(model.function(function), model.symbols(function), sized);
  };
  const auto largest = model.plan(function, sizes[0], symbols_of_bucket(sources));
  if (!largest->exact()) sizes.resize(1);
  lanes_ = largest->useful_lanes(sizes[0], allowed_lanes(threads), runs);
  for (const int64_t size : sizes) {
    for (size_t bucket = 0; bucket < buckets_.count(); ++bucket) {
      const std::vector<Source> sized = buckets_.sized(sources, bucket);
      const bool made = size == sizes[0] && bucket + 1 == buckets_.count();
      auto plan = made ? largest : model.plan(function, size, symbols_of_bucket(sized));
      auto gathers = bind_sources(*plan, sized, index);
      BoundPlan bound(std::move(plan), std::move(gathers), arrays, seed);
      Plan::Lease call = bound.lease(lanes_, index);
      bound_.push_back({std::move(bound), std::move(call)});
    }
  }
  if (sizes.size() == 1) return;
  for (Span& span : table_) {
    for (Part& part : span.parts) {
      const auto found = std::find(sizes.begin(), sizes.end(), part.rows);
      part.bound = static_cast<size_t>(found - sizes.begin());
    }
  }
}

bool Spans::cut() const {
  return std::any_of(table_.begin(), table_.end(),
                     [](const Span& span) { return span.parts.size() != 1; });
}

}  // namespace slim
