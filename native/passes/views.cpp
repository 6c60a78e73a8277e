// A value of [rows, n] is a view where its rows lie `row_stride` elements apart:
//
//   %c = concat(%a, %b, axis=1)        | a a a b b |     %a and %b are stored here by the ops
//   %s = slice(%c, axis=1, 1, 4)       |   s s s   |     that compute them, %s is read here
//                                      | a a a b b |
//
// if all ops that touch them can (kReadsRows, kStoresRows), and their device. Returns and
// assignments never are.
#include "passes/views.h"

#include <algorithm>
#include <optional>

#include "ir/ops.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

bool ends_in_rows(const Node& node, const Type& type) {
  const auto axis = node.attributes.find("axis");
  return axis == node.attributes.end() ||
         std::get<int64_t>(axis->second) + 1 == static_cast<int64_t>(type.dims.size());
}

// Fused sums over some axes: no tape, but a reduction of its operands.
bool sums_inside(const Graph& region) {
  return std::any_of(region.nodes.begin(), region.nodes.end(), [&](const Node& node) {
    return node.op == "reduce_sum" && !region.values[node.results[0]].type.dims.empty();
  });
}

class ViewFinder {
 public:
  ViewFinder(const Graph& graph, const std::vector<ValueId>& kept, const std::vector<bool>& fixed,
             const AcceptsPart& accepts)
      : graph_(graph),
        fixed_(fixed),
        accepts_(accepts),
        kept_(graph_.values.size(), false),
        producer_(producers(graph_)),
        readers_(readers(graph_)),
        views_(graph_.values.size()) {
    for (const ValueId id : kept) kept_[id] = true;
    for (auto& known : admits_) known.resize(graph_.values.size());
    for (size_t id = 0; id < views_.size(); ++id) views_[id].root = static_cast<ValueId>(id);
  }

  std::vector<View> find() {
    // Later ones first: what they hold may hold others.
    for (size_t i = graph_.nodes.size(); i-- > 0;) {
      const Node& node = graph_.nodes[i];
      if (node.op == "concat") place_parts(node);
      if (node.op == "pad") place(node.operands[0], node, integer(node, "before"));
    }
    for (const Node& node : graph_.nodes) {
      if (op_row(node).has(kAlias)) {
        views_[node.results[0]] = views_[node.operands[0]];
      } else if (node.op == "slice") {
        cut(node);
      }
    }
    return std::move(views_);
  }

 private:
  static int64_t integer(const Node& node, const char* key) {
    return std::get<int64_t>(node.attributes.at(key));
  }
  const Type& type(ValueId id) const { return graph_.values[id].type; }

  static std::optional<int64_t> last_dim(const Type& type) {
    return type.dims.empty() ? std::nullopt : type.dims.back().constant();
  }

  // Where elements from `start` on along the node's axis lie in `whole`; nothing if that is no
  // view. Elements under the axes before it must follow each other, or be rows.
  std::optional<View> part_of(ValueId whole, const Node& node, int64_t start) const {
    const std::vector<Dim>& dims = type(whole).dims;
    const auto axis = static_cast<size_t>(integer(node, "axis"));
    const auto width = last_dim(type(whole));
    if (!width || *width < 1 || !dims[axis].constant()) return std::nullopt;
    const bool together =
        std::all_of(dims.begin(), dims.begin() + static_cast<std::ptrdiff_t>(axis),
                    [](const Dim& dim) { return dim.constant() == 1; });
    if (!together && axis + 1 != dims.size()) return std::nullopt;
    int64_t unit = 1;  // elements under one index of the axis
    for (size_t i = axis + 1; i < dims.size(); ++i) {
      const auto dim = dims[i].constant();
      if (!dim || __builtin_mul_overflow(unit, *dim, &unit)) return std::nullopt;
    }
    if (__builtin_mul_overflow(unit, start, &start)) return std::nullopt;
    View view = views_[whole];
    if (view.row_stride > 0) {
      if (__builtin_mul_overflow(start / *width, view.row_stride, &unit)) return std::nullopt;
      start = unit + start % *width;
    } else if (!together) {
      view.row_stride = *width;
    }
    if (__builtin_add_overflow(view.first, start, &view.first)) return std::nullopt;
    return view;
  }

  void place_parts(const Node& node) {
    const auto axis = static_cast<size_t>(integer(node, "axis"));
    int64_t start = 0;
    for (const ValueId part : node.operands) {
      const auto size = type(part).dims[axis].constant();
      if (!size || *size < 1) return;
      place(part, node, start);
      if (__builtin_add_overflow(start, *size, &start)) return;
    }
  }

  // `part` is computed where the node's result begins at `start`, if it can.
  void place(ValueId part, const Node& node, int64_t start) {
    const auto view = part_of(node.results[0], node, start);
    if (!view || !is_dense(type(part))) return;
    ValueId top = part;  // through reshapes, down to what computes it
    while (producer_[top] >= 0 && op_row(graph_.nodes[producer_[top]]).has(kAlias)) {
      top = graph_.nodes[producer_[top]].operands[0];
    }
    if (producer_[top] < 0 || fixed_[top] || views_[top].root != top) return;
    const Node& from = graph_.nodes[producer_[top]];
    if (op_row(from).has(kSource) || from.op == "slice") return;
    if (!accepts(from, view->row_stride > 0)) return;
    if (view->row_stride > 0) {
      if (last_dim(type(top)) != last_dim(type(part)) || !stores_rows(from, top)) return;
    }
    if (admits(top, view->row_stride > 0)) views_[top] = *view;
  }

  // Columns are read where they lie, if they can be.
  void cut(const Node& node) {
    const ValueId whole = node.operands[0], part = node.results[0];
    const auto size = last_dim(type(part));
    if (!is_dense(type(whole)) || !size || *size < 1) return;
    const auto view = part_of(whole, node, integer(node, "start"));
    if (view && admits(part, view->row_stride > 0)) views_[part] = *view;
  }

  // Whether the value and all reshapes of it may be a view, of rows that lie `apart` or not.
  bool admits(ValueId value, bool apart) {
    std::optional<bool>& known = admits_[apart][value];
    if (known) return *known;
    known = true;
    std::vector<ValueId> open = {value};
    while (*known && !open.empty()) {
      const ValueId id = open.back();
      open.pop_back();
      known = !kept_[id] && std::all_of(readers_[id].begin(), readers_[id].end(), [&](int i) {
        const Node& node = graph_.nodes[i];
        if (!op_row(node).has(kAlias)) {
          return accepts(node, apart) && (!apart || reads_rows(node, id));
        }
        open.push_back(node.results[0]);
        return !apart || last_dim(type(node.results[0])) == last_dim(type(id));
      });
    }
    return *known;
  }

  bool accepts(const Node& node, bool apart) const { return !accepts_ || accepts_(node, apart); }

  bool reads_rows(const Node& node, ValueId id) const {
    const OpRow& row = op_row(node);
    if (row.has(kElementwise)) return true;
    if (row.has(kTapeRegion)) {
      return node.operands.size() == 1 || node.regions.empty() || !sums_inside(node.regions[0]);
    }
    const Type& first = type(node.operands[0]);
    return row.has(kReadsRows) && type(id).dims.size() == first.dims.size() &&
           ends_in_rows(node, first);
  }

  bool stores_rows(const Node& node, ValueId result) const {
    const OpRow& row = op_row(node);
    if (row.has(kRandom)) return !node.regions.empty();  // else it fills one stretch
    if (row.has(kElementwise) || row.has(kTapeRegion)) return true;
    if (node.op == "gather" && type(node.operands[0]).dims.size() != 2) return false;
    return row.has(kStoresRows) && ends_in_rows(node, type(result));
  }

  const Graph& graph_;
  const std::vector<bool>& fixed_;
  const AcceptsPart& accepts_;
  std::vector<bool> kept_;
  const std::vector<int> producer_;
  const std::vector<std::vector<int>> readers_;
  std::vector<std::optional<bool>> admits_[2];  // by whether rows lie apart, and value
  std::vector<View> views_;
};

}  // namespace

std::vector<View> find_views(const Graph& graph, const std::vector<ValueId>& kept,
                             const std::vector<bool>& fixed, const AcceptsPart& accepts) {
  return ViewFinder(graph, kept, fixed, accepts).find();
}

}  // namespace slim
