// Sums over a parameter that its update reads: of all parameters by one kernel, whose blocks take a
// stretch each, and added up by another before any weight moves.
#include <algorithm>
#include <iterator>

#include "cuda/shapes.h"
#include "cuda/steps.h"

namespace slim::cuda {
namespace {

constexpr int64_t kStretch = 4096;  // elements of a block, at least
constexpr int64_t kMostStretches = 1024;

const KernelLaunch* kernel_in(const Plan::Step& step) {
  return dynamic_cast<const KernelLaunch*>(step.launch.get());
}

// One kernel takes all sums, of what it computes element by element; before it stand constants.
const KernelText& text_of_sums(const Plan& measure) {
  const std::vector<Plan::Step>& steps = measure.steps();
  const bool fits = !steps.empty() && measure.moves().empty() &&
                    std::all_of(steps.begin(), steps.end(), [&](const Plan::Step& step) {
                      const KernelLaunch* kernel = kernel_in(step);
                      if (kernel == nullptr) return false;
                      const KernelText& text = kernel->text();
                      const bool sums =
                          std::count(text.headers.begin(), text.headers.end(), "total") > 0;
                      return &step == &steps.back() ? sums : !sums && text.arguments.size() == 1;
                    });
  if (!fits) {
    refuse_on_gpu("an update that reads sums of more than what is computed element by element");
  }
  return kernel_in(steps.back())->text();
}

// The first of a plan's returns that lies there; as many as they are: none does. Sums that are
// equal are taken once.
int64_t place_of_return(const std::vector<Buffer>& returns, const Buffer& buffer) {
  return std::find_if(returns.begin(), returns.end(),
                      [&](const Buffer& one) {
                        return one.base == buffer.base && one.offset == buffer.offset;
                      }) -
         returns.begin();
}

}  // namespace

// Of a group that is added, whose hypers are told; `places`: where in them the sums go, in bytes.
void CudaSteps::measure(const Segment& segment, std::byte* hypers,
                        const std::vector<int64_t>& places) {
  const int64_t length = std::max(kStretch, round_up(ceil_div(segment.length, kMostStretches)));
  const int64_t first = std::ssize(stretch_list_);
  for (int64_t begin = 0; begin < segment.length; begin += length) {
    stretch_list_.push_back(
        {segment.offset + begin, std::min(length, segment.length - begin), hypers});
  }
  const int64_t count = std::ssize(stretch_list_) - first;
  for (size_t i = 0; i < places.size(); ++i) {
    sum_list_.push_back({first, count, place_of_return(measure_->returns(), measure_->returns()[i]),
                         reinterpret_cast<double*>(hypers + places[i])});
  }
}

// A block runs the plan's kernel on its stretch: pointers to elements are moved there, hypers are
// those of its group, and what is returned goes to the partial sums.
void CudaSteps::make_sums() {
  if (sum_list_.empty()) return;
  const KernelText& text = text_of_sums(*measure_);
  const std::vector<Buffer>& returns = measure_->returns();
  constants_.emplace(*measure_, 1);
  Context& context = (*constants_)->context;
  context.rows = measure_->capacity();
  measure_->device().begin(context);
  for (const Plan::Step& step : measure_->steps()) {
    if (&step != &measure_->steps().back()) step.launch->run(context, 0, nullptr);
  }
  measure_->device().finish(context);
  arrays_.lend(context);
  stretches_ = sent(driver_, *stream_, stretch_list_);
  partial_ = Piece<double>(driver_, stretch_list_.size() * returns.size());
  sums_ = sent(driver_, *stream_, sum_list_);
  const int64_t width = std::ssize(returns);
  std::vector<const void*> pointers;
  std::string moved;
  const auto move = [&](int64_t argument, const std::string& type, const std::string& by) {
    const std::string place = number(argument);
    moved += "  moved.at[" + place + "] = a.in<" + type + ">(" + place + ") + " + by + ";\n";
  };
  for (const Argument& argument : text.arguments) {
    const Buffer& buffer = argument.buffer;
    const int64_t place = std::ssize(pointers);
    const int64_t returned = place_of_return(returns, buffer);
    if (returned < width) {
      pointers.push_back(partial_.data());
      move(place, "double", "slim::block() * " + number(width) + " + " + number(returned));
    } else if (buffer.base == Base::hyper) {
      pointers.push_back(nullptr);
      moved +=
          "  moved.at[" + number(place) + "] = stretch.hypers + " + number(buffer.offset) + ";\n";
    } else if (buffer.base == Base::scratch) {
      pointers.push_back(argument.in(context));
    } else {
      pointers.push_back(argument.in(context));
      move(place, c_type(buffer.dtype), "stretch.begin");
    }
  }
  const std::string last = number(std::ssize(pointers));
  pointers.push_back(stretches_.data());
  Part measuring = part(
      "  const slim::StepStretch stretch = a.in<const slim::StepStretch>(" + last +
          ")[slim::block()];\n  slim::Facts facts = *a.facts;\n  facts.rows = stretch.length;\n" +
          "  auto moved = a;\n  moved.facts = &facts;\n" + moved +
          "  {\n  const auto a = moved;\n" + text.body + "  }\n",
      std::move(pointers), {std::ssize(stretch_list_), kThreads});
  measuring.text.headers.insert(measuring.text.headers.end(), text.headers.begin(),
                                text.headers.end());
  measuring.text.formulas = text.formulas;
  measuring.text.functions = text.functions;
  Part taking =
      part("  slim::take_sums(a.in<slim::StepState>(0), a.in<const slim::StepSum>(1), " +
               number(std::ssize(sum_list_)) + ", a.in<const double>(2), " + number(width) +
               ", a.in<slim::Facts>(3), " + number(std::ssize(groups_)) + ");\n",
           {state_.data(), sums_.data(), partial_.data(), group_facts_.data()}, {1, kThreads});
  of_sums_ = std::make_unique<Sums>(std::move(measuring), std::move(taking));
}

// Asked where the host decides what an update runs: it has to wait for the verdict.
bool CudaSteps::counts() const noexcept {
  StepState state;
  state_.fetch(*stream_, &state, 1);
  driver_.wait(*stream_);
  return driver_.is_well() && state.counts != 0;
}

}  // namespace slim::cuda
