// The launches of a convolution that a library computes. It wants the outputs of filters outside,
// and here they are inside: filters are turned before it, their gradient after it.
#include "cuda/library_convolution.h"

#include <numeric>

#include "cuda/call.h"
#include "cuda/pointwise.h"
#include "cuda/product.h"

namespace slim::cuda {

using Kind = ConvolutionShape::Kind;

double ConvolutionShape::flops() const {
  const auto product = [](const std::vector<int64_t>& sizes, size_t first) {
    return std::accumulate(sizes.begin() + static_cast<int64_t>(first), sizes.end(), 1.0,
                           [](double all, int64_t one) { return all * static_cast<double>(one); });
  };
  return 2 * product(y, 0) * product(filters, 1);
}

namespace {

int64_t elements(const std::vector<int64_t>& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

// dst[column, row] = src[row, column]
KernelText turn_filters(const Buffer& dst, const Buffer& src, int64_t rows, int64_t columns) {
  constexpr int64_t kTile = 32;
  KernelText text;
  text.headers = {"turn"};
  Arguments arguments(text);
  const std::string to = arguments.out(dst), from = arguments.in(src);
  text.body = "  " + call("slim::turn", {to, from, words({rows, columns})}) + ";\n";
  text.grid = {ceil_div(rows, kTile) * ceil_div(columns, kTile), kThreads};
  text.cost.bytes = 2.0 * static_cast<double>(rows * columns * size_of(src.dtype));
  return text;
}

class ConvolutionLaunch final : public LibraryLaunch {
 public:
  ConvolutionLaunch(Convolutions& convolutions, std::shared_ptr<const ConvolutionPlan> plan,
                    Buffer x, Buffer filters, Buffer y, Buffer workspace, PointwiseChain behind)
      : convolutions_(convolutions),
        plan_(std::move(plan)),
        x_(std::move(x)),
        filters_(std::move(filters)),
        y_(std::move(y)),
        workspace_(std::move(workspace)),
        behind_(std::move(behind)) {}

  Cost cost(int64_t) const override {
    const ConvolutionShape& shape = plan_->shape;
    const int64_t all = elements(shape.x) * size_of(shape.x_type()) +
                        elements(shape.filters) * size_of(shape.filters_type()) +
                        elements(shape.y) * size_of(shape.y_type());
    return {shape.flops(), static_cast<double>(all)};
  }
  // All images of the capacity: those beyond the batch's are computed of what lies there, and
  // nobody reads them.
  void run(const Context& context, int64_t, std::byte*) const noexcept override {
    const auto all = [&](const std::vector<Buffer>& buffers) {
      std::vector<std::byte*> arrays;
      for (const Buffer& buffer : buffers) arrays.push_back(buffer.in<std::byte>(context));
      return arrays;
    };
    convolutions_.convolve(
        static_cast<const Call&>(*context.call).stream, *plan_,
        {x_.in<std::byte>(context), filters_.in<std::byte>(context), y_.in<std::byte>(context),
         aligned(workspace_, context), all(behind_.read), all(behind_.results)});
  }
  void warm(const Context& context) const noexcept override {
    const Kind kind = plan_->shape.kind;
    warm_by(kind == Kind::forward ? y_ : kind == Kind::input_grad ? x_ : filters_, context);
  }

 private:
  Convolutions& convolutions_;
  std::shared_ptr<const ConvolutionPlan> plan_;
  Buffer x_, filters_, y_, workspace_;
  PointwiseChain behind_;
};

class LibraryConvolution final : public ByLibrary {
 public:
  LibraryConvolution(Convolutions& convolutions, bool sums_rows,
                     std::shared_ptr<const ConvolutionPlan> plan)
      : convolutions_(convolutions), sums_rows_(sums_rows), plan_(std::move(plan)) {}

  // The library's, the turned filters, and the result itself where the node's region makes
  // something else of it.
  std::vector<int64_t> workspace(const Binding& binding) const override {
    std::vector<int64_t> bytes{
        with_alignment(plan_->workspace_bytes()),
        elements(plan_->shape.filters) * size_of(plan_->shape.filters_type())};
    if (goes_on(binding)) bytes.push_back(result_elements() * size_of(DType::f32));
    return bytes;
  }

  std::vector<std::unique_ptr<Launch>> launches(const Binding& binding) const override {
    std::vector<std::unique_ptr<Launch>> all;
    const auto kernel = [&](KernelText text) {
      all.push_back(std::make_unique<KernelLaunch>(std::move(text)));
    };
    const Kind kind = plan_->shape.kind;
    const bool more = goes_on(binding);
    const Buffer &first = binding.operands[0], &second = binding.operands[1];
    Buffer turned = binding.workspace[1];
    Buffer result = more ? binding.workspace[2] : binding.results[0];
    turned.dtype = plan_->shape.filters_type();
    result.dtype = DType::f32;
    const int64_t outputs = plan_->shape.filters[0];
    const int64_t taps = elements(plan_->shape.filters) / outputs;
    if (sums_rows_) kernel(clear_tails(binding));
    if (kind != Kind::filter_grad) kernel(turn_filters(turned, second, taps, outputs));
    const Buffer& x = kind == Kind::input_grad ? result : first;
    const Buffer& y = kind == Kind::forward ? result : kind == Kind::input_grad ? first : second;
    all.push_back(std::make_unique<ConvolutionLaunch>(
        convolutions_, plan_, x, turned, y, binding.workspace[0],
        plan_->shape.behind.empty() ? PointwiseChain() : chain_behind(binding)));
    if (kind == Kind::filter_grad) kernel(turn_filters(result, turned, outputs, taps));
    if (more) kernel(sum_of_slices(binding, result_elements(), result, 1));
    return all;
  }

 private:
  // Whether the region is a kernel of ours.
  bool goes_on(const Binding& binding) const {
    return !binding.node.regions.empty() && plan_->shape.behind.empty();
  }
  int64_t result_elements() const {  // of images: the gradient of filters has no region
    const ConvolutionShape& shape = plan_->shape;
    return elements(shape.kind == Kind::forward ? shape.y : shape.x);
  }

  Convolutions& convolutions_;
  bool sums_rows_;
  std::shared_ptr<const ConvolutionPlan> plan_;
};

}  // namespace

std::unique_ptr<ByLibrary> convolution_of(Convolutions& convolutions, const LibraryTask& task) {
  ConvolutionShape shape = *task.convolution;
  std::shared_ptr<const ConvolutionPlan> plan = convolutions.choose(shape);
  if (plan == nullptr && !shape.behind.empty()) {
    shape.behind.clear();
    plan = convolutions.choose(shape);
  }
  if (plan == nullptr) return nullptr;
  return std::make_unique<LibraryConvolution>(convolutions, task.sums_rows, std::move(plan));
}

}  // namespace slim::cuda
