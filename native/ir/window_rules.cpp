// The type rules of windows over spatial axes. Convolutions: x [b, spatial..., channels], filters
// [kernel..., channels of a group, outputs], and what one gives: [b, positions..., outputs].
// Poolings: x, and [b, positions..., channels].
#include <algorithm>

#include "ir/type_checks.h"
#include "ir/type_rules.h"

namespace slim {

using namespace typing;

namespace {

// Products of two of them fit 64 bits, whatever a text says.
constexpr int64_t kMostReach = int64_t{1} << 24;
// Numbers of a row with its padding: kernels may copy some rows of it.
constexpr double kMostPadded = 1LL << 40;

void need_numbers(const NodeView& v, const char* key, size_t count, int64_t least) {
  const std::vector<int64_t>& given = v.integers(key);
  const bool fits = std::all_of(given.begin(), given.end(), [&](int64_t number) {
    return number >= least && number <= kMostReach;
  });
  if (given.size() == count && fits) return;
  v.refuse(std::string(key) + " needs " + std::to_string(count) + " numbers from " +
           std::to_string(least) + " to " + std::to_string(kMostReach));
}

int64_t need_known(const NodeView& v, const Dim& dim) {
  if (const std::optional<int64_t> size = dim.constant()) return *size;
  v.refuse("needs spatial axes, channels and kernel of known size: " + operands_text(v));
}

// What windows over x give, but for the last axis.
std::vector<Dim> windowed(const NodeView& v, const std::vector<Dim>& x,
                          const std::vector<int64_t>& kernel) {
  const size_t axes = x.size() - 2;
  need_numbers(v, "strides", axes, 1);
  need_numbers(v, "dilations", axes, 1);
  need_numbers(v, "padding", 2 * axes, 0);
  const std::vector<int64_t>&strides = v.integers("strides"), &dilations = v.integers("dilations");
  const std::vector<int64_t>& padding = v.integers("padding");
  std::vector<Dim> out{x[0]};
  double padded = static_cast<double>(need_known(v, x.back()));
  for (size_t axis = 0; axis < axes; ++axis) {
    const int64_t around = padding[2 * axis] + padding[2 * axis + 1];
    if (!x[1 + axis].constant() && !x[1 + axis].mentions("B")) {
      // A size that is substituted later, and then met here again.
      if (kernel[axis] < 1 || kernel[axis] > kMostReach) {
        v.refuse("a kernel of " + std::to_string(kernel[axis]) + " over " + x[1 + axis].str());
      }
      const int64_t more = around - 1 - (kernel[axis] - 1) * dilations[axis];
      out.push_back((x[1 + axis] + more).floor_divide(strides[axis]) + 1);
      continue;
    }
    const int64_t size = need_known(v, x[1 + axis]);
    padded *= static_cast<double>(size) + static_cast<double>(around);
    if (padded > kMostPadded) v.refuse("a row of x has too many numbers with its padding");
    if (kernel[axis] < 1 || kernel[axis] > kMostReach || size > (int64_t{1} << 48)) {
      v.refuse("a kernel of " + std::to_string(kernel[axis]) + " over " + std::to_string(size));
    }
    const int64_t room = size + around - 1 - (kernel[axis] - 1) * dilations[axis];
    if (room < 0) {
      v.refuse("the kernel does not fit spatial axis " + std::to_string(axis) + ": " +
               operands_text(v));
    }
    out.emplace_back(room / strides[axis] + 1);
  }
  return out;
}

// What a convolution of x with the filters gives.
std::vector<Dim> convolved(const NodeView& v, const std::vector<Dim>& x,
                           const std::vector<Dim>& filters) {
  if (x.size() < 3 || x.size() > 5 || filters.size() != x.size()) {
    v.refuse("needs 1 to 3 spatial axes and filters of as many: " + operands_text(v));
  }
  const size_t axes = x.size() - 2;
  const int64_t groups = v.integer("groups");
  const int64_t channels = need_known(v, x.back()), outputs = need_known(v, filters.back());
  const int64_t inner = need_known(v, filters[axes]);
  if (channels < 1 || outputs < 1) v.refuse("needs channels and outputs: " + operands_text(v));
  if (groups < 1 || channels % groups != 0 || channels / groups != inner || outputs % groups != 0) {
    v.refuse(std::to_string(groups) + " groups do not fit " + std::to_string(channels) +
             " channels and " + std::to_string(outputs) + " outputs: " + operands_text(v));
  }
  std::vector<int64_t> kernel;
  for (size_t axis = 0; axis < axes; ++axis) kernel.push_back(need_known(v, filters[axis]));
  std::vector<Dim> out = windowed(v, x, kernel);
  out.push_back(filters.back());
  return out;
}

// What a pooling of x gives.
std::vector<Dim> pooled(const NodeView& v, const std::vector<Dim>& x) {
  if (x.size() < 3 || x.size() > 5) {
    v.refuse("needs 1 to 3 spatial axes: " + operands_text(v));
  }
  need_numbers(v, "kernel", x.size() - 2, 1);
  need_known(v, x.back());
  std::vector<Dim> out = windowed(v, x, v.integers("kernel"));
  out.push_back(x.back());
  return out;
}

void need_floats(const NodeView& v) {
  need_dtype(v, 0, kFloats | kSixteenBits);
  need_dtype(v, 1, kFloats | kSixteenBits);
  if (v.operand(0).dtype != v.operand(1).dtype) {
    v.refuse("operands differ in type: " + operands_text(v));
  }
}

void need_equal(const NodeView& v, const std::vector<Dim>& got, const std::vector<Dim>& needed) {
  if (got == needed) return;
  v.refuse("the gradient needs shape " + to_string(Type{v.operand(0).dtype, needed}) + ": " +
           operands_text(v));
}

// What an op with an epilogue gives before its region: the first parameter there.
const Type& product_of(const NodeView& v) {
  const bool finished = !v.node.regions.empty() && !v.node.regions[0].parameters.empty();
  return finished ? v.node.regions[0].values[v.node.regions[0].parameters[0]].type : v.result(0);
}

}  // namespace

void type_convolution(const OpRow&, const NodeView& v) {
  need_floats(v);
  const DType sums = computed_in(v.operand(0).dtype);
  check_epilogue(v, {sums, convolved(v, v.operand(0).dims, v.operand(1).dims)});
}

void type_convolution_input_grad(const OpRow&, const NodeView& v) {
  need_floats(v);
  const Type& x = product_of(v);
  need_equal(v, v.operand(0).dims, convolved(v, x.dims, v.operand(1).dims));
  check_epilogue(v, {computed_in(v.operand(0).dtype), x.dims});
}

void type_convolution_filter_grad(const OpRow&, const NodeView& v) {
  need_floats(v);
  const Type& filters = v.result(0);
  need_equal(v, v.operand(1).dims, convolved(v, v.operand(0).dims, filters.dims));
  need_result(v, computed_in(v.operand(0).dtype), filters.dims);
}

namespace {

constexpr int64_t kMostPlaces = 256;  // of a window: a byte counts them

// The largest of windows side by side over what a convolution gives.
std::vector<Dim> pooled_beside(const NodeView& v, const std::vector<Dim>& map) {
  need_numbers(v, "pool", 2, 1);
  const std::vector<int64_t>& pool = v.integers("pool");
  if (map.size() != 4 || pool[0] > kMostPlaces || pool[1] > kMostPlaces / pool[0] ||
      pool[0] > need_known(v, map[1]) || pool[1] > need_known(v, map[2])) {
    v.refuse("the pooled windows do not fit a map of two spatial axes: " + operands_text(v));
  }
  return {map[0], Dim(need_known(v, map[1]) / pool[0]), Dim(need_known(v, map[2]) / pool[1]),
          map[3]};
}

// Operand d is the gradient of such windows, another says where their largest elements stood.
void need_pooled(const NodeView& v, size_t d, const std::vector<Dim>& map) {
  const std::vector<Dim> out = pooled_beside(v, map);
  need_equal(v, v.operand(d).dims, out);
  need_equal(v, v.operand(2).dims, out);
  need_dtype(v, 2, 1u << int(DType::u8));
}

}  // namespace

void type_pooled_convolution(const OpRow&, const NodeView& v) {
  need_floats(v);
  const DType dtype = v.operand(0).dtype;
  const std::vector<Dim> out = pooled_beside(v, convolved(v, v.operand(0).dims, v.operand(1).dims));
  if (v.node.operands.size() > 2 && v.operand(2) != Type{dtype, {out.back()}}) {
    v.refuse("the bias needs a number for each output: " + operands_text(v));
  }
  need_result(v, {dtype, out}, 0);
  need_result(v, {DType::u8, out}, 1);
}

void type_pooled_convolution_input_grad(const OpRow&, const NodeView& v) {
  need_floats(v);
  const Type& x = product_of(v);
  need_pooled(v, 0, convolved(v, x.dims, v.operand(1).dims));
  check_epilogue(v, {v.operand(0).dtype, x.dims});
}

void type_pooled_convolution_filter_grad(const OpRow&, const NodeView& v) {
  need_floats(v);
  const Type& filters = v.result(0);
  need_pooled(v, 1, convolved(v, v.operand(0).dims, filters.dims));
  need_result(v, v.operand(0).dtype, filters.dims);
}

void type_max_pool(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kFloats);
  const std::vector<Dim> out = pooled(v, v.operand(0).dims);
  need_result(v, {v.operand(0).dtype, out}, 0);
  need_result(v, {DType::i32, out}, 1);
}

namespace {
// The second operand says where in their windows the largest elements of x stood.
void need_places(const NodeView& v, const std::vector<Dim>& out) {
  need_dtype(v, 0, kFloats);
  need_dtype(v, 1, 1u << int(DType::i32));
  need_equal(v, v.operand(1).dims, out);
}
}  // namespace

void type_max_pool_grad(const OpRow&, const NodeView& v) {
  const std::vector<Dim> out = pooled(v, v.result(0).dims);
  need_places(v, out);
  need_equal(v, v.operand(0).dims, out);
  need_result(v, v.operand(0).dtype, v.result(0).dims);
}

void type_max_pool_pick(const OpRow&, const NodeView& v) {
  const std::vector<Dim> out = pooled(v, v.operand(0).dims);
  need_places(v, out);
  need_result(v, v.operand(0).dtype, out);
}

void type_sum_pool(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kFloats);
  need_result(v, v.operand(0).dtype, pooled(v, v.operand(0).dims));
}

void type_sum_pool_grad(const OpRow&, const NodeView& v) {
  need_dtype(v, 0, kFloats);
  need_equal(v, v.operand(0).dims, pooled(v, v.result(0).dims));
  need_result(v, v.operand(0).dtype, v.result(0).dims);
}

}  // namespace slim
