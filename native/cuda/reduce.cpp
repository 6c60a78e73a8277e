// Reductions over any axes, and the largest element along one.
#include "cuda/strides.h"

namespace slim::cuda {
namespace {

constexpr int64_t kLongestFold = 1 << 16;  // so many terms are cut into slices anyway
constexpr int64_t kSteps = 16;             // of each thread, that are worth a slice
constexpr int64_t kMostFoldSlices = 256;

// Which elements of operand 0 become one, and how teams of threads share them.
class Reduction {
 public:
  Reduction(const Binding& binding, const std::vector<int64_t>& reduced, bool sliced) {
    const Buffer& src = binding.operands[0];
    const std::vector<int64_t> strides = strides_of(src);
    for (size_t i = 0; i < src.dims.size(); ++i) {
      const bool is_reduced =
          std::find(reduced.begin(), reduced.end(), static_cast<int64_t>(i)) != reduced.end();
      (is_reduced ? terms_ : kept_).push_back({slim::cuda::count_of(src, i, i + 1), strides[i]});
    }
    terms_ = merged(terms_);
    kept_ = merged(kept_);
    terms = product_of(terms_);
    results = product_of(kept_);
    const bool lines =
        kept_.empty() || (!terms_.empty() && terms_.back().stride <= kept_.back().stride);
    const int64_t down = power_below(terms.capacity, lines ? kThreads : 8);
    const int64_t across = kThreads / down;
    team = "slim::Team<" + words({across, down}) + (lines ? ", true>" : ", false>");
    const int64_t blocks = std::max<int64_t>(ceil_div(results.capacity, across), 1);
    if (sliced) {
      const int64_t needed =
          std::clamp<int64_t>(ceil_div(terms.capacity, kLongestFold), 1, kMostFoldSlices);
      const int64_t wanted =
          results.per_row > 0 ? 1 : std::min(terms.capacity / (down * kSteps), kWanted / blocks);
      slices = std::clamp(wanted, needed, kMostFoldSlices);
    }
    slice = ceil_div(std::max<int64_t>(terms.capacity, 1), slices);
    grid = {blocks * slices, kThreads};
    cost.flops = static_cast<double>(terms.capacity * results.capacity);
    cost.bytes = cost.flops * static_cast<double>(size_of(src.dtype));
  }

  // The first words of a kernel's template, behind the fold.
  std::string kind() const { return team + ", Kept_NAME, Terms_NAME>"; }
  std::string functions() const {
    return place_struct("Kept_NAME", kept_) + place_struct("Terms_NAME", terms_);
  }

  Count terms, results;
  int64_t slices = 1, slice = 1;
  std::string team;
  Grid grid;
  Cost cost;

 private:
  std::vector<Axis> kept_, terms_;
};

// Its types are written out: the run-time compiler takes no generic lambda for device code.
std::string put_text(const std::string& type, const std::string& what) {
  return "[=](long long i, long long slice, const " + type + "& x) { (void)slice; " + what + " }";
}

std::string store(const std::string& type, const Buffer& dst) {
  return put_text(
      type, "out[" + element_text(dst, "i") + "] = static_cast<" + c_type(dst.dtype) + ">(x);");
}

KernelText kernel(const Reduction& reduction) {
  KernelText text;
  text.headers = {"reduce"};
  text.functions = reduction.functions();
  text.grid = reduction.grid;
  text.cost = reduction.cost;
  return text;
}

int64_t bytes_of_part(const std::string& fold, DType dtype) {
  return fold == "Sum" ? 8 : size_of(dtype);
}

std::string fold_of(const Binding& binding) {
  return binding.node.op == "reduce_sum" ? "Sum" : binding.node.op == "reduce_max" ? "Max" : "Min";
}

std::vector<int64_t> workspace_reduce(const Binding& binding) {
  const Reduction reduction(binding, binding.integers("axes"), true);
  if (reduction.slices == 1) return {};
  return {reduction.slices * reduction.results.capacity *
          bytes_of_part(fold_of(binding), binding.operands[0].dtype)};
}

std::vector<KernelText> prepare_reduce(const Binding& binding) {
  const Buffer& src = binding.operands[0];
  const Buffer& dst = binding.results[0];
  const std::string word = fold_of(binding);
  if (word != "Sum") {
    for (const int64_t axis : binding.integers("axes")) require_elements(binding, src, axis);
  }
  const Reduction reduction(binding, binding.integers("axes"), true);
  const std::string fold = "slim::" + word + '<' + c_type(src.dtype) + '>';
  const std::string sizes = reduction.results.text() + ", " + reduction.terms.text() + ", " +
                            words({reduction.slice, reduction.slices});
  const std::string acc = fold + "::Acc";
  KernelText text = kernel(reduction);
  Arguments arguments(text);
  text.body = "  const auto* src = " + arguments.in(src) + ";\n";
  std::string put;
  if (reduction.slices == 1) {
    text.body += "  auto* out = " + arguments.out(dst) + ";\n";
    put = store(acc, dst);
  } else {
    text.arguments.push_back(binding.workspace[0]);
    text.body += "  auto* parts = a.in<" + fold +
                 "::Acc>(1);\n  const long long results = " + reduction.results.text() + ";\n";
    put = put_text(acc, "parts[slice * results + i] = x;");
  }
  text.body +=
      "  slim::reduce<" + fold + ", " + reduction.kind() + "(src, " + sizes + ", " + put + ");\n";
  if (reduction.slices == 1) return {text};
  KernelText merge;
  merge.headers = {"reduce"};
  merge.arguments.push_back(binding.workspace[0]);
  Arguments rest(merge);
  merge.body = "  auto* out = " + rest.out(dst) + ";\n  slim::merge_slices<" + fold +
               ">(a.in<const " + acc + ">(0), " + reduction.results.text() + ", " +
               std::to_string(reduction.slices) + ", " + store(acc, dst) + ");\n";
  merge.grid = grid_over(reduction.results.capacity);
  return {text, merge};
}

std::vector<KernelText> prepare_logsumexp(const Binding& binding) {
  const Buffer& dst = binding.results[0];
  const Reduction reduction(binding, binding.integers("axes"), false);
  KernelText text = kernel(reduction);
  Arguments arguments(text);
  text.body = "  const auto* src = " + arguments.in(binding.operands[0]) +
              ";\n  auto* out = " + arguments.out(dst) + ";\n  slim::logsumexp<" +
              reduction.kind() + "(src, " + reduction.results.text() + ", " +
              reduction.terms.text() + ", " + store(c_type(dst.dtype), dst) + ");\n";
  return {text};
}

std::vector<KernelText> prepare_argmax(const Binding& binding) {
  const Buffer& src = binding.operands[0];
  const int64_t axis = binding.integer("axis", 0);
  require_elements(binding, src, axis);
  const Reduction reduction(binding, {axis}, false);
  KernelText text = kernel(reduction);
  Arguments arguments(text);
  text.body = "  const auto* src = " + arguments.in(src) +
              ";\n  auto* at = " + arguments.out(binding.results.back()) + ";\n";
  std::string put = "at[i] = x.at;";
  if (binding.results.size() > 1) {
    text.body += "  auto* most = " + arguments.out(binding.results[0]) + ";\n";
    put += " most[i] = x.value;";
  }
  const std::string fold = "slim::FirstLargest<" + c_type(src.dtype) + '>';
  text.body += "  slim::reduce<" + fold + ", " + reduction.kind() + "(src, " +
               reduction.results.text() + ", " + reduction.terms.text() + ", " +
               words({reduction.slice, 1}) + ", " + put_text(fold + "::Acc", put) + ");\n";
  return {text};
}

}  // namespace

SLIM_CUDA_KERNEL(reduce_sum, prepare_reduce, workspace_reduce);
SLIM_CUDA_KERNEL(reduce_max, prepare_reduce, workspace_reduce);
SLIM_CUDA_KERNEL(reduce_min, prepare_reduce, workspace_reduce);
SLIM_CUDA_KERNEL(logsumexp, prepare_logsumexp);
SLIM_CUDA_KERNEL(argmax, prepare_argmax);
SLIM_CUDA_KERNEL(max_with_argmax, prepare_argmax);

}  // namespace slim::cuda
