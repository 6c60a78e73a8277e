// Type rules: each computes what the result must be and refuses anything else.
#include "ir/type_rules.h"

#include <algorithm>

#include "ir/type_checks.h"

namespace slim {

using namespace typing;

bool broadcast_dims(std::vector<Dim>& into, const std::vector<Dim>& other) {
  if (other.size() > into.size()) into.insert(into.begin(), other.size() - into.size(), Dim(1));
  for (size_t i = 0; i < other.size(); ++i) {
    Dim& mine = into[into.size() - 1 - i];
    const Dim& theirs = other[other.size() - 1 - i];
    if (mine == theirs || theirs.constant() == 1) continue;
    if (mine.constant() != 1) return false;
    mine = theirs;
  }
  return true;
}

Dim count_of(const std::vector<Dim>& dims) {
  Dim count(1);
  for (const Dim& dim : dims) count = count * dim;
  return count;
}

void type_elementwise(const OpRow& row, const NodeView& v) {
  std::vector<Dim> dims;
  for (size_t i = 0; i < v.node.operands.size(); ++i) {
    need_dtype(v, i, row.accepts);
    if (!broadcast_dims(dims, v.operand(i).dims)) {
      v.refuse("shapes do not broadcast: " + operands_text(v));
    }
  }
  need_equal_dtypes(v);
  if (const auto kept = rounded_to(v.node); kept && v.result(0).dtype == *kept) {
    return need_result(v, *kept, dims);
  }
  need_result(v, row.boolean ? DType::b8 : v.operand(0).dtype, dims);
}

void type_cast(const OpRow&, const NodeView& v) {
  need_result(v, v.result(0).dtype, v.operand(0).dims);
}

void type_select(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kBools);
  need_equal_dtypes(v, 1);
  std::vector<Dim> dims;
  for (size_t i = 0; i < 3; ++i) {
    if (!broadcast_dims(dims, v.operand(i).dims)) {
      v.refuse("shapes do not broadcast: " + operands_text(v));
    }
  }
  need_result(v, v.operand(1).dtype, dims);
}

void type_input(const OpRow&, const NodeView& v) {
  if (!is_dense(v.result(0))) return check_sparse_input(v);
  if (v.node.attributes.count("columns") == 0) return;
  const std::vector<int64_t>& columns = v.integers("columns");
  if (columns.size() != 2 || columns[0] < 0 || columns[1] <= columns[0]) {
    v.refuse("columns must be [start, stop] with 0 <= start < stop");
  }
  const std::vector<Dim>& dims = v.result(0).dims;
  if (dims.size() != 2 || dims[1] != Dim(columns[1] - columns[0])) {
    v.refuse("columns " + std::to_string(columns[0]) + " to " + std::to_string(columns[1]) +
             " do not fill " + to_string(v.result(0)));
  }
}

// A whole number has to be one of the result's type.
void need_range(const NodeView& v, int64_t value) {
  const DType dtype = v.result(0).dtype;
  const bool fits = dtype == DType::i32  ? value == static_cast<int32_t>(value)
                    : dtype == DType::u8 ? value == static_cast<uint8_t>(value)
                                         : true;
  if (!fits) v.refuse("value " + std::to_string(value) + " does not fit " + name_of(dtype));
}

void type_constant(const OpRow&, const NodeView& v) {
  const Attribute& value = v.node.attributes.at("value");
  const DType dtype = v.result(0).dtype;
  const bool fits = in(kFloats, dtype)   ? std::holds_alternative<double>(value)
                    : dtype == DType::b8 ? std::holds_alternative<bool>(value)
                                         : std::holds_alternative<int64_t>(value);
  if (!fits) v.refuse("the value does not fit " + to_string(v.result(0)));
  if (const int64_t* whole = std::get_if<int64_t>(&value)) need_range(v, *whole);
}

void type_constant_list(const OpRow&, const NodeView& v) {
  need_result_dtype(v, kNumbers);
  const Attribute& values = v.node.attributes.at("values");
  const auto* integers = std::get_if<std::vector<int64_t>>(&values);
  const bool floats = in(kFloats, v.result(0).dtype);
  const size_t count =
      integers != nullptr ? integers->size() : std::get<std::vector<double>>(values).size();
  if (count > 0 && floats == (integers != nullptr)) {
    v.refuse("the values do not fit " + to_string(v.result(0)));
  }
  if (integers != nullptr) {
    for (const int64_t value : *integers) need_range(v, value);
  }
  need_result(v, v.result(0).dtype, {Dim(static_cast<int64_t>(count))});
}

void type_extent(const OpRow&, const NodeView& v) {
  need_result_dtype(v, kFloats);
  need_result(v, v.result(0).dtype, {});
  try {
    Dim::parse(std::get<std::string>(v.node.attributes.at("dim")));
  } catch (const std::invalid_argument& error) {
    v.refuse(error.what());
  }
}

void type_iota(const OpRow&, const NodeView& v) {
  need_result_dtype(v, kIntegers);
  if (v.result(0).dims.size() != 1) v.refuse("the result is a list, not " + to_string(v.result(0)));
}

void type_matmul(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kFloats | kSixteenBits);
  need_dtype(v, 1, kFloats | kSixteenBits);
  need_rank(v, 0, 2);
  need_rank(v, 1, 2);
  const Type& a = v.operand(0);
  const Type& b = v.operand(1);
  if (a.dtype != b.dtype) v.refuse("operands differ in type: " + operands_text(v));
  const bool ta = v.flag("transpose_a"), tb = v.flag("transpose_b");
  const size_t ra = a.dims.size(), rb = b.dims.size();
  if (ra != rb && rb != 2) v.refuse("b must have rank 2 or the rank of a: " + operands_text(v));
  if (ra != rb && (ta || tb)) v.refuse("a with more axes than b cannot be transposed");
  if (ra == rb && !std::equal(a.dims.begin(), a.dims.end() - 2, b.dims.begin())) {
    v.refuse("leading dimensions differ: " + operands_text(v));
  }
  if (a.dims[ra - (ta ? 2 : 1)] != b.dims[rb - (tb ? 1 : 2)]) {
    v.refuse("inner dimensions differ: " + operands_text(v));
  }
  std::vector<Dim> dims = prefix(a, 2);
  dims.push_back(a.dims[ra - (ta ? 1 : 2)]);
  dims.push_back(b.dims[rb - (tb ? 2 : 1)]);
  check_epilogue(v, {computed_in(a.dtype), dims});
}

void type_reduce_number(const OpRow&, const NodeView& v) { check_reduce(v, kNumbers); }
void type_reduce_float(const OpRow&, const NodeView& v) { check_reduce(v, kFloats); }

// Nothing is the largest of nothing.
void type_reduce_extreme(const OpRow&, const NodeView& v) {
  check_reduce(v, kFloats);
  for (const int64_t axis : v.integers("axes")) need_elements(v, static_cast<size_t>(axis));
}

namespace {
// The operand's dims without the axis along which one element is chosen.
std::vector<Dim> dims_of_chosen(const NodeView& v) {
  need_dtype(v, 0, kNumbers);
  const size_t axis = need_axis(v, "axis", v.integer("axis"));
  need_elements(v, axis);
  std::vector<Dim> dims = v.operand(0).dims;
  dims.erase(dims.begin() + static_cast<int64_t>(axis));
  return dims;
}
}  // namespace

void type_argmax(const OpRow&, const NodeView& v) { need_result(v, DType::i64, dims_of_chosen(v)); }

void type_max_with_argmax(const OpRow&, const NodeView& v) {
  const std::vector<Dim> dims = dims_of_chosen(v);
  need_result(v, {v.operand(0).dtype, dims}, 0);
  need_result(v, {DType::i64, dims}, 1);
}

void type_top_k(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kNumbers);
  need_rank(v, 0, 1);
  const int64_t k = v.integer("k");
  std::vector<Dim> dims = v.operand(0).dims;
  if (k < 1 || (dims.back().constant() && k > *dims.back().constant())) {
    v.refuse("there are no " + std::to_string(k) + " largest elements: " + operands_text(v));
  }
  dims.back() = Dim(k);
  need_result(v, {v.operand(0).dtype, dims}, 0);
  need_result(v, {DType::i64, dims}, 1);
}

namespace {
// Floats with a last axis.
void need_classes(const NodeView& v) {
  need_dtype(v, 0, kFloats);
  need_rank(v, 0, 1);
  need_elements(v, v.operand(0).dims.size() - 1);
}
}  // namespace

void type_softmax(const OpRow&, const NodeView& v) {
  need_classes(v);
  need_result(v, v.operand(0).dtype, v.operand(0).dims);
}

void type_sparse_cross_entropy(const OpRow&, const NodeView& v) {
  need_classes(v);
  need_dtype(v, 1, 1u << int(DType::i32));
  if (v.operand(1).dims != prefix(v.operand(0), 1)) {
    v.refuse("labels need one number per row of logits: " + operands_text(v));
  }
  need_result(v, v.operand(0).dtype, v.operand(1).dims);
}

void type_sparse_cross_entropy_grad(const OpRow&, const NodeView& v) {
  need_classes(v);
  need_dtype(v, 1, 1u << int(DType::i32));
  if (v.operand(1).dims != prefix(v.operand(0), 1) || v.operand(2).dims != v.operand(1).dims ||
      v.operand(2).dtype != v.operand(0).dtype) {
    v.refuse("labels and the gradient need one number per row of logits: " + operands_text(v));
  }
  need_result(v, v.operand(0).dtype, v.operand(0).dims);
}

void type_cross_entropy(const OpRow&, const NodeView& v) {
  need_classes(v);
  if (v.operand(0) != v.operand(1)) v.refuse("operands differ: " + operands_text(v));
  need_result(v, v.operand(0).dtype, prefix(v.operand(0), 1));
}

void type_reshape(const OpRow&, const NodeView& v) {
  if (count_of(v.operand(0).dims) != count_of(v.result(0).dims)) {
    v.refuse(to_string(v.operand(0)) + " does not have as many elements as " +
             to_string(v.result(0)));
  }
  need_result(v, v.operand(0).dtype, v.result(0).dims);
}

void type_recompute(const OpRow&, const NodeView& v) {
  need_result(v, v.operand(0).dtype, v.operand(0).dims);
}

void type_transpose(const OpRow&, const NodeView& v) {
  const std::vector<int64_t>& perm = v.integers("perm");
  const std::vector<Dim>& from = v.operand(0).dims;
  std::vector<int64_t> sorted = perm;
  std::sort(sorted.begin(), sorted.end());
  bool permutes = perm.size() == from.size();
  for (size_t i = 0; permutes && i < sorted.size(); ++i) {
    permutes = sorted[i] == static_cast<int64_t>(i);
  }
  if (!permutes) v.refuse("perm must name every axis of " + to_string(v.operand(0)) + " once");
  std::vector<Dim> dims;
  for (int64_t axis : perm) dims.push_back(from[static_cast<size_t>(axis)]);
  need_result(v, v.operand(0).dtype, dims);
}

void type_broadcast(const OpRow&, const NodeView& v) {
  std::vector<Dim> dims = v.operand(0).dims;
  if (!broadcast_dims(dims, v.result(0).dims) || dims != v.result(0).dims) {
    v.refuse(to_string(v.operand(0)) + " does not broadcast to " + to_string(v.result(0)));
  }
  need_result(v, v.operand(0).dtype, v.result(0).dims);
}

void type_concat(const OpRow&, const NodeView& v) {
  need_equal_dtypes(v);
  const size_t axis = need_axis(v, "axis", v.integer("axis"));
  std::vector<Dim> dims = v.operand(0).dims;
  Dim sum(0);
  for (size_t i = 0; i < v.node.operands.size(); ++i) {
    std::vector<Dim> mine = v.operand(i).dims;
    if (mine.size() != dims.size()) v.refuse("ranks differ: " + operands_text(v));
    sum = sum + mine[axis];
    mine[axis] = dims[axis];
    if (mine != dims)
      v.refuse("shapes differ beside axis " + std::to_string(axis) + ": " + operands_text(v));
  }
  dims[axis] = sum;
  need_result(v, v.operand(0).dtype, dims);
}

void type_slice(const OpRow&, const NodeView& v) {
  const size_t axis = need_axis(v, "axis", v.integer("axis"));
  const int64_t start = v.integer("start"), stop = v.integer("stop");
  const std::optional<int64_t> size = v.operand(0).dims[axis].constant();
  if (start < 0 || stop < start || (size && stop > *size)) {
    v.refuse("start " + std::to_string(start) + " and stop " + std::to_string(stop) +
             " do not lie in axis " + std::to_string(axis) + " of " + to_string(v.operand(0)));
  }
  std::vector<Dim> dims = v.operand(0).dims;
  dims[axis] = Dim(stop - start);
  need_result(v, v.operand(0).dtype, dims);
}

void type_pad(const OpRow&, const NodeView& v) {
  const size_t axis = need_axis(v, "axis", v.integer("axis"));
  const int64_t before = v.integer("before"), after = v.integer("after");
  if (before < 0 || after < 0) v.refuse("before and after must not be negative");
  std::vector<Dim> dims = v.operand(0).dims;
  dims[axis] = dims[axis] + Dim(before) + Dim(after);
  need_result(v, v.operand(0).dtype, dims);
}

void type_gather(const OpRow&, const NodeView& v) {
  need_rank(v, 0, 1);
  need_elements(v, 0);
  need_dtype(v, 1, kIntegers);
  std::vector<Dim> dims = v.operand(1).dims;
  dims.insert(dims.end(), v.operand(0).dims.begin() + 1, v.operand(0).dims.end());
  need_result(v, v.operand(0).dtype, dims);
}

void type_scatter_add(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kIntegers);
  need_dtype(v, 1, kFloats);
  const std::vector<Dim>& table = v.result(0).dims;
  if (table.empty() || table[0].constant() == 0) v.refuse("the result needs rows to add into");
  std::vector<Dim> dims = v.operand(0).dims;
  dims.insert(dims.end(), table.begin() + 1, table.end());
  if (v.operand(1).dims != dims) {
    v.refuse("updates need shape " + to_string(Type{v.operand(1).dtype, dims}) + " for " +
             to_string(v.result(0)) + ": " + operands_text(v));
  }
  need_result(v, v.operand(1).dtype, table);
}

void type_one_hot(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kIntegers);
  need_result_dtype(v, kFloats);
  std::vector<Dim> dims = v.operand(0).dims;
  dims.push_back(v.result(0).dims.empty() ? Dim(1) : v.result(0).dims.back());
  need_result(v, v.result(0).dtype, dims);
}

namespace {
void need_stream(const NodeView& v) {
  const int64_t stream = v.integer("stream");
  if (stream < 0 || stream > 0xFFFFFFFF) v.refuse("stream must be a 32-bit number");
}
}  // namespace

// What a region makes of its numbers stands at places that no batch moves.
void type_random(const OpRow&, const NodeView& v) {
  need_stream(v);
  const bool ends = !v.node.regions.empty() && !v.node.regions[0].parameters.empty();
  const Graph& graph = ends ? v.node.regions[0] : v.graph;
  const Type drawn = ends ? graph.values[graph.parameters[0]].type : v.result(0);
  check_epilogue(v, drawn);
  if (!in(kFloats, drawn.dtype)) v.refuse("draws f32 or f64, not " + to_string(drawn));
  if (v.node.regions.empty()) return;
  const bool fixed = std::all_of(drawn.dims.begin(), drawn.dims.end(),
                                 [](const Dim& dim) { return dim.constant().has_value(); });
  if (!fixed || drawn.dims.empty()) {
    v.refuse("has a region only where its shape is of numbers, not " + to_string(drawn));
  }
}

void type_dropout(const OpRow&, const NodeView& v) {
  need_stream(v);
  need_dtype(v, 0, kFloats);
  need_equal_dtypes(v);
  if (!v.operand(1).dims.empty()) v.refuse("keep_prob must be a scalar: " + operands_text(v));
  need_result(v, v.operand(0).dtype, v.operand(0).dims);
}

void type_orthogonal(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kFloats);
  if (v.operand(0).dims.size() != 2) v.refuse("needs a matrix: " + operands_text(v));
  need_result(v, v.operand(0).dtype, v.operand(0).dims);
}

void type_custom(const OpRow&, const NodeView& v) {
  if (std::get<std::string>(v.node.attributes.at("function")).empty()) {
    v.refuse("needs the name of a function");
  }
  if (!v.flag("gradient") && v.node.results.size() != 1) {
    v.refuse("has 1 result, got " + std::to_string(v.node.results.size()));
  }
}

void type_cond(const OpRow&, const NodeView& v) {
  if (v.operand(0) != Type{DType::b8, {}}) {
    v.refuse("the predicate is " + to_string(v.operand(0)) + ", needs bool[]");
  }
  if (v.node.regions.size() != 2) v.refuse("needs two regions");
  for (const Graph& region : v.node.regions) {
    check_parameters(v, region, 0, 1);
    check_yields(v, region);
    for (const Value& value : region.values) {
      if (is_dense(value.type)) continue;
      v.refuse('%' + value.name + " is " + to_string(value.type) +
               ": what is not dense stands outside of the regions");
    }
  }
}

void type_fused(const OpRow&, const NodeView& v) {
  if (v.node.regions.empty()) v.refuse("needs a region");
  check_parameters(v, v.node.regions[0], 0, 0);
  check_yields(v, v.node.regions[0]);
}

}  // namespace slim
