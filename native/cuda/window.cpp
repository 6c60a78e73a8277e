// Windows over spatial axes: poolings, and convolutions as products.
#include "cuda/library.h"
#include "cuda/pointwise.h"
#include "cuda/product.h"

namespace slim::cuda {
namespace {

// The sizes of windows over x, as kernels/window.cuh wants them.
std::string window_struct(const Binding& binding, const Buffer& x, const Buffer& y,
                          const std::vector<int64_t>& kernel, const std::string& more) {
  const std::vector<int64_t> strides = binding.integers("strides");
  const std::vector<int64_t> dilations = binding.integers("dilations");
  const std::vector<int64_t> padding = binding.integers("padding");
  const size_t axes = strides.size();
  std::string text = "struct Window_NAME {\n  enum { ";
  double most = 1;
  for (size_t i = 0; i < 3; ++i) {
    const size_t missing = 3 - axes;
    const auto put = [&](const char* name, int64_t number) {
      text += name + std::to_string(i) + " = " + std::to_string(number) + ", ";
    };
    const bool is = i >= missing;
    const size_t at = is ? i - missing : 0;
    put("x", is ? x.dims[1 + at] : 1);
    put("y", is ? y.dims[1 + at] : 1);
    put("kernel", is ? kernel[at] : 1);
    put("stride", is ? strides[at] : 1);
    put("dilation", is ? dilations[at] : 1);
    put("before", is ? padding[2 * at] : 0);
    if (is) most *= static_cast<double>(x.dims[1 + at] + padding[2 * at] + padding[2 * at + 1]);
  }
  most *= static_cast<double>(std::max(x.dims.back(), y.dims.back()));
  if (most >= 1LL << 30) binding.refuse("has images too large for a CUDA kernel");
  return text + more + " };\n};\n";
}

// `function` of kernels/pool.cuh for each element of operand or result `to`.
std::vector<KernelText> prepare_pool(const Binding& binding, const std::string& function,
                                     bool backward) {
  const Buffer& result = binding.results[0];
  const Buffer& x = backward ? result : binding.operands[0];
  const Buffer& y = backward ? binding.operands[0] : result;
  if (count_of(result).capacity == 0) return {};
  KernelText text;
  text.headers = {"pool"};
  text.functions = window_struct(binding, x, y, binding.integers("kernel"),
                                 "channels = " + std::to_string(x.dims.back()));
  Arguments arguments(text);
  std::vector<std::string> given;
  for (const Buffer& buffer : binding.operands) given.push_back(arguments.in(buffer));
  for (const Buffer& buffer : binding.results) given.push_back(arguments.out(buffer));
  given.push_back(count_of(result, 0, 1).text());
  text.body = "  " + call("slim::" + function + "<Window_NAME>", given) + ";\n";
  text.grid = grid_over(count_of(result).capacity);
  const auto count = static_cast<double>(count_of(x).capacity + count_of(y).capacity);
  text.cost = {2 * count, count * static_cast<double>(size_of(x.dtype))};
  return {text};
}

std::vector<KernelText> prepare_max_pool(const Binding& binding) {
  return prepare_pool(binding, "max_pool", false);
}
std::vector<KernelText> prepare_max_pool_grad(const Binding& binding) {
  return prepare_pool(binding, "max_pool_grad", true);
}
std::vector<KernelText> prepare_max_pool_pick(const Binding& binding) {
  return prepare_pool(binding, "max_pool_pick", false);
}
std::vector<KernelText> prepare_sum_pool(const Binding& binding) {
  return prepare_pool(binding, "sum_pool", false);
}
std::vector<KernelText> prepare_sum_pool_grad(const Binding& binding) {
  return prepare_pool(binding, "sum_pool_grad", true);
}

// One of the three products of a convolution of x with filters, which gives y.
struct Convolution {
  explicit Convolution(const Binding& binding) {
    const std::string& op = binding.node.op;
    const bool forward = op == "convolution", input = op == "convolution_input_grad";
    kind = forward ? "Forward" : input ? "InputGrad" : "FilterGrad";
    const Buffer &first = binding.operands[0], &second = binding.operands[1];
    const Buffer& result = binding.results[0];
    const Buffer& x = input ? result : first;
    const Buffer& y = forward ? result : input ? first : second;
    const std::vector<int64_t>& filters = forward || input ? second.dims : result.dims;
    const size_t rank = filters.size();
    groups = binding.integer("groups", 1);
    const int64_t channels = filters[rank - 2], outputs = filters[rank - 1] / groups;
    int64_t taps = 1;
    for (size_t i = 0; i + 2 < rank; ++i) taps *= filters[i];
    shape.dtype = computed_in(first.dtype);
    shape.batches.capacity = groups;
    const Count positions = count_of(y, 0, rank - 1), pixels = count_of(x, 0, rank - 1);
    const Count of_taps{taps * channels, 0};
    shape.m = forward ? positions : input ? pixels : of_taps;
    shape.n = input ? channels : outputs;
    shape.k = forward ? of_taps : input ? Count{taps * outputs, 0} : positions;
    window = window_struct(binding, x, y, filters,
                           "channels = " + std::to_string(channels) + ", outputs = " +
                               std::to_string(outputs) + ", groups = " + std::to_string(groups));
  }

  std::string kind, window;
  int64_t groups;
  ProductShape shape;
};

constexpr int64_t kFew = 4;      // columns of a group that are worth no tile
constexpr int64_t kAlone = 128;  // terms that one thread adds up
constexpr int64_t kMostDown = 8;

std::vector<int64_t> workspace_convolution(const Binding& binding) {
  return product_workspace(binding, Convolution(binding).shape);
}

std::vector<KernelText> prepare_convolution(const Binding& binding) {
  const Convolution given(binding);
  if (count_of(binding.results[0]).capacity == 0) return {};
  const bool few = given.groups > 1 && given.shape.n <= kFew;
  const int64_t down = power_below(given.shape.k.capacity / kAlone, kMostDown);
  const int64_t across = kThreads / down;
  const auto multiply = [&](const ProductCut& cut, Arguments& arguments, const std::string& store) {
    const std::string a = arguments.in(binding.operands[0]), b = arguments.in(binding.operands[1]);
    const std::string type = c_type(given.shape.dtype);
    const std::string kind =
        "slim::" + given.kind + '<' + c_type(binding.operands[0].dtype) + ", Window_NAME>>";
    return call(few ? "slim::convolve_few<" + type + ", slim::Team<" + words({across, down}) +
                          ", false>, " + kind
                    : "slim::convolve" + cut.kind + ", " + kind,
                {a, b, cut.product, store});
  };
  std::vector<KernelText> texts = product_launches(binding, given.shape, multiply);
  texts[0].headers.push_back("convolution");
  texts[0].functions += given.window;
  if (few) {
    const int64_t results = given.groups * given.shape.n * given.shape.m.capacity;
    const int64_t slices = ProductCut(binding, given.shape).slices;
    texts[0].grid = {ceil_div(results, across) * slices, kThreads};
  }
  return texts;
}

// One by one pixel, without steps and padding: a product of all pixels with the filters.
bool is_product(const Binding& binding, const std::vector<int64_t>& filters) {
  const auto all = [](const std::vector<int64_t>& numbers, size_t count, int64_t number) {
    return std::all_of(numbers.begin(), numbers.begin() + static_cast<int64_t>(count),
                       [&](int64_t each) { return each == number; });
  };
  const std::vector<int64_t> strides = binding.integers("strides");
  const std::vector<int64_t> padding = binding.integers("padding");
  return binding.integer("groups", 1) == 1 && all(filters, filters.size() - 2, 1) &&
         all(strides, strides.size(), 1) && all(padding, padding.size(), 0);
}

LibraryTask library_convolution(const Binding& binding) {
  using Kind = ConvolutionShape::Kind;
  const std::string& op = binding.node.op;
  const Kind kind = op == "convolution"              ? Kind::forward
                    : op == "convolution_input_grad" ? Kind::input_grad
                                                     : Kind::filter_grad;
  const Buffer &first = binding.operands[0], &second = binding.operands[1];
  const Buffer& result = binding.results[0];
  const std::vector<int64_t>& filters = kind == Kind::filter_grad ? result.dims : second.dims;
  const std::vector<int64_t>& x = kind == Kind::input_grad ? result.dims : first.dims;
  const std::vector<int64_t>& y = kind == Kind::forward      ? result.dims
                                  : kind == Kind::input_grad ? first.dims
                                                             : second.dims;
  const int64_t groups = binding.integer("groups", 1);
  const int64_t channels = filters[filters.size() - 2], outputs = filters.back();
  LibraryTask task;
  task.sums_rows = kind == Kind::filter_grad && first.per_row > 0;
  if (is_product(binding, filters)) {
    const int64_t pixels = count_of(first, 0, first.dims.size() - 1).capacity;
    Multiplication& what = task.product.emplace();
    what.dtype = first.dtype;
    what.transpose_a = kind == Kind::filter_grad;
    what.transpose_b = kind == Kind::input_grad;
    what.m = kind == Kind::filter_grad ? channels : pixels;
    what.n = kind == Kind::input_grad ? channels : outputs;
    what.k = kind == Kind::forward ? channels : kind == Kind::input_grad ? outputs : pixels;
    what.a_stride = kind == Kind::input_grad ? outputs : channels;
    what.b_stride = outputs;
    return task;
  }
  // Of each channel alone there is little to multiply: not a library's strength.
  if (first.dtype == DType::f64 || (groups > 1 && channels == 1)) return task;
  ConvolutionShape& what = task.convolution.emplace();
  what.dtype = first.dtype;
  what.kind = kind;
  what.x = x;
  what.y = y;
  what.filters.assign(filters.begin(), filters.end() - 1);
  what.filters.insert(what.filters.begin(), outputs);
  what.behind = chain_behind(binding).steps;
  what.strides = binding.integers("strides");
  what.dilations = binding.integers("dilations");
  const std::vector<int64_t> padding = binding.integers("padding");
  for (size_t i = 0; i < padding.size(); i += 2) {
    what.before.push_back(padding[i]);
    what.after.push_back(padding[i + 1]);
  }
  // A line is an image of one row.
  if (what.strides.size() == 1) {
    for (auto* sizes : {&what.x, &what.y, &what.filters}) sizes->insert(sizes->begin() + 1, 1);
    for (auto* steps : {&what.strides, &what.dilations}) steps->insert(steps->begin(), 1);
    for (auto* padding : {&what.before, &what.after}) padding->insert(padding->begin(), 0);
  }
  return task;
}

}  // namespace

SLIM_CUDA_KERNEL(max_pool, prepare_max_pool);
SLIM_CUDA_KERNEL(max_pool_grad, prepare_max_pool_grad);
SLIM_CUDA_KERNEL(max_pool_pick, prepare_max_pool_pick);
SLIM_CUDA_KERNEL(sum_pool, prepare_sum_pool);
SLIM_CUDA_KERNEL(sum_pool_grad, prepare_sum_pool_grad);
SLIM_CUDA_KERNEL(convolution, prepare_convolution, workspace_convolution, library_convolution);
SLIM_CUDA_KERNEL(convolution_input_grad, prepare_convolution, workspace_convolution,
                 library_convolution);
SLIM_CUDA_KERNEL(convolution_filter_grad, prepare_convolution, workspace_convolution,
                 library_convolution);

}  // namespace slim::cuda
