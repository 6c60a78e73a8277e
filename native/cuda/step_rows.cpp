// Gradients that are rows: the weights and slots that a step touches are fetched, updated and put
// back.
#include <algorithm>
#include <bit>

#include "cuda/shapes.h"
#include "cuda/steps.h"

namespace slim::cuda {

// For as many rows as any batch may touch: the call has room for as many.
Arrays CudaSteps::make_room(const RowGradient& gradient) {
  const Layout& layout = model_->layout();
  const int64_t size = size_of(layout.precision);
  int64_t bytes = 0;
  for (const Spans::Bound& bound : spans_->bound()) {
    bytes = std::max(bytes, bound.call->stored[static_cast<size_t>(gradient.value)].size());
  }
  const int64_t most = std::min(bytes / size, gradient.rows * gradient.width);
  Room room;
  room.parameter = gradient.offset;
  // Plans are kept by their capacity.
  room.elements =
      static_cast<int64_t>(std::bit_ceil(static_cast<uint64_t>(std::max<int64_t>(most, 64))));
  room.group = groups_.size();
  const int64_t slots = layout.slots();
  room.arrays = Piece<std::byte>(driver_, static_cast<size_t>((1 + slots) * room.elements * size));
  room.gradient = Piece<std::byte>(driver_, static_cast<size_t>(room.elements * size));
  Arrays arrays = arrays_;
  arrays.param = room.arrays.data();
  arrays.gradient = room.gradient.data();
  arrays.slot = arrays.param + room.elements * size;
  rooms_.push_back(std::move(room));
  return arrays;
}

// Of each gradient whose parameter is updated.
void CudaSteps::make_row_parts(OfPlan& whole, const Spans::Bound& bound) {
  const Layout& layout = model_->layout();
  const int64_t size = size_of(layout.precision);
  const int64_t slots = layout.slots();
  const std::string type = c_type(layout.precision);
  for (const RowGradient& gradient : bound.plan.plan().row_gradients()) {
    const auto room = std::find_if(rooms_.begin(), rooms_.end(), [&](const Room& each) {
      return each.parameter == gradient.offset;
    });
    if (room == rooms_.end()) continue;  // frozen
    const SparseBatch& rows = bound.call->context.sparse[gradient.value];
    const std::string touched = "slim::TouchedRows<" + type + ">{" + number(gradient.width) +
                                ", a.in<" + type + ">(0), a.in<" + type + ">(1), " +
                                number(layout.param_bytes / size) + ", " + number(slots) +
                                ", a.in<" + type + ">(2), " + number(room->elements) + "}";
    std::byte* slot = arrays_.slot != nullptr ? arrays_.slot + gradient.offset : nullptr;
    const std::vector<const void*> common{arrays_.param + gradient.offset, slot,
                                          room->arrays.data(), rows.ids};
    std::vector<const void*> given = common;
    given.insert(given.end(),
                 {rows.values, rows.count, room->gradient.data(), lengths_.data() + room->group});
    whole.fetch.push_back(part("  slim::fetch_rows(slim::Sparse<" + type + ">{a.in<" + type +
                                   ">(4), nullptr, nullptr, a.in<int>(3), a.in<long long>(5)}, " +
                                   touched + ", a.in<" + type + ">(6), a.in<long long>(7));\n",
                               given, grid_over(room->elements)));
    given = common;
    given.push_back(group_facts_.data() + room->group);
    whole.put.push_back(
        part("  slim::put_rows(a.in<const int>(3), " + touched + ", a.in<slim::Facts>(4));\n",
             given, grid_over(room->elements)));
    for (Part* each : {&whole.fetch.back(), &whole.put.back()}) {
      each->text.headers.push_back("sparse");
    }
  }
}

}  // namespace slim::cuda
