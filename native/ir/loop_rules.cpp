// The type rules of scan and while_loop.
#include <limits>
#include <string>

#include "ir/loop.h"
#include "ir/type_checks.h"
#include "ir/type_rules.h"

namespace slim {

using namespace typing;

namespace {

const Type kCount{DType::i32, {}};

void need_type(const NodeView& v, const std::string& what, const Type& needed, const Type& given) {
  if (given == needed) return;
  v.refuse(what + " is " + to_string(given) + ", needs " + to_string(needed));
}

Type slice_of(const NodeView& v, const std::string& what, const Type& whole, int64_t axis,
              const Dim& length) {
  if (axis < 0 || axis >= static_cast<int64_t>(whole.dims.size())) {
    v.refuse(what + " is " + to_string(whole) + ", which has no axis " + std::to_string(axis));
  }
  Type slice = whole;
  if (slice.dims[static_cast<size_t>(axis)] != length) {
    v.refuse(what + " is " + to_string(whole) + ", needs the length " + length.str() +
             " along axis " + std::to_string(axis));
  }
  slice.dims.erase(slice.dims.begin() + axis);
  return slice;
}

const Type& type_of(const Graph& graph, ValueId id) {
  return graph.values[static_cast<size_t>(id)].type;
}

// What is not dense has no place in a step.
void check_inside(const NodeView& v) {
  for (const Graph& region : v.node.regions) {
    walk(region, [&](const Graph& graph, const Node& node) {
      const NodeView inner{graph, node};
      for (const Value& value : graph.values) {
        if (!is_dense(value.type)) {
          inner.refuse('%' + value.name + " is " + to_string(value.type) +
                       ": what is not dense stands outside of the regions");
        }
      }
    });
  }
}

// The parameters of a region, and what the body yields.
void check_loop(const NodeView& v, const LoopForm& form) {
  check_inside(v);
  const size_t parameters = v.node.operands.size() - form.first_carried();
  for (const Graph& region : v.node.regions) {
    if (region.parameters.size() != parameters) {
      v.refuse("the region takes " + std::to_string(region.parameters.size()) + " values, needs " +
               std::to_string(parameters));
    }
    for (size_t i = 0; i < parameters; ++i) {
      const Type& operand = v.operand(form.first_carried() + i);
      const std::string what = "operand " + std::to_string(form.first_carried() + i);
      const bool scanned = i >= form.carried && i < form.carried + form.scanned;
      const Type inside =
          scanned ? slice_of(v, what, operand, form.scanned_axis(i - form.carried), form.length)
                  : operand;
      need_type(v, "the region's %" + region.values[region.parameters[i]].name, inside,
                type_of(region, region.parameters[i]));
    }
  }
  const Graph& body = form.body(v.node);
  const size_t results = body.returns.size() + (form.is_while ? 1 : 0);
  if (v.node.results.size() != results || results == 0) {
    v.refuse("has " + std::to_string(v.node.results.size()) + " results, needs " +
             std::to_string(results));
  }
  for (size_t i = 0; i < body.returns.size(); ++i) {
    const Type& yielded = type_of(body, body.returns[i]);
    const std::string what = "result " + std::to_string(i);
    if (i < form.carried) {
      need_type(v, "carried value " + std::to_string(i) + " after a step",
                v.operand(form.first_carried() + i), yielded);
      need_type(v, what, yielded, v.result(i));
    } else {
      const int64_t axis = form.stacked_axis(i - form.carried);
      need_type(v, "a slice of " + what, yielded,
                slice_of(v, what, v.result(i), axis, form.length));
    }
  }
}

}  // namespace

void type_scan(const OpRow&, const NodeView& v) {
  const LoopForm form(v);
  if (form.length.constant().value_or(0) < 0) v.refuse("length is " + form.length.str());
  if (form.counted) {
    need_type(v, "the number of steps", kCount, v.operand(0));
    for (const int64_t axis : form.axes) {
      if (axis != 0) v.refuse("needs axis 0 where the number of steps is counted");
    }
  }
  check_loop(v, form);
}

void type_while_loop(const OpRow&, const NodeView& v) {
  const LoopForm form(v);
  const int64_t most = *form.length.constant();
  if (most < (form.stacked > 0 ? 1 : 0) || most > std::numeric_limits<int32_t>::max()) {
    v.refuse("maximum is " + std::to_string(most) + ", needs 0 (no bound, where nothing is " +
             "stacked) or a positive number below 2^31");
  }
  if (form.carried == 0) v.refuse("carries nothing");
  check_loop(v, form);
  need_type(v, "the number of steps", kCount, v.result(v.node.results.size() - 1));
  const Graph& condition = v.node.regions[0];
  if (condition.returns.size() != 1) v.refuse("the condition yields one value");
  need_type(v, "the condition", Type{DType::b8, {}}, type_of(condition, condition.returns[0]));
}

}  // namespace slim
