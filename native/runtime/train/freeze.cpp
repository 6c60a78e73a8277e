// Freezes the segments of parameters that have no gradient.
#include "runtime/train/freeze.h"

#include <set>

namespace slim {

void freeze_without_gradient(const Model& model, std::vector<Segment>& segments) {
  std::set<int64_t> offsets;
  const DType precision = model.layout().precision;
  for (const Assignment& grad : model.function("grad").grads) {
    const auto& place = model.layout().places[static_cast<size_t>(grad.declaration)];
    offsets.insert(place.offset / size_of(precision));
  }
  for (Segment& segment : segments) {
    if (offsets.count(segment.offset) == 0) segment.frozen = true;
  }
}

}  // namespace slim
