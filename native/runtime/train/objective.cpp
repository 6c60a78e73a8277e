// Runs `grad` over all chunks and adds up, with the penalties of the segments.
#include "runtime/train/objective.h"

#include <algorithm>
#include <stdexcept>

#include "ir/ops.h"
#include "runtime/call/executor.h"
#include "runtime/call/team.h"
#include "runtime/data/bind.h"
#include "runtime/train/freeze.h"

namespace slim {
namespace {

constexpr int64_t kChunkRows = 512;

void refuse_what_varies(const Function& grad) {
  walk(grad.graph, [](const Graph& graph, const Node& node) {
    if (!op_row(node).has(kRandom)) return;
    throw std::invalid_argument(
        "[" + node.op + " " + graph.values[static_cast<size_t>(node.results[0])].name +
        "] draws random numbers: L-BFGS needs the same objective at every call; use another "
        "optimizer or remove dropout and noise");
  });
  if (!grad.sets.empty()) {
    throw std::invalid_argument(
        "the network updates state while it trains (batch normalization): L-BFGS cannot "
        "train it; use another optimizer");
  }
}

double coefficient(const Segment& segment, const std::string& name) {
  const auto found = segment.coefficients.find(name);
  return found == segment.coefficients.end() ? 0.0 : found->second;
}

// Calls visit(element of the arena, coordinate, l2) for every free coordinate.
template <class T, class Visit>
void for_each(const std::vector<Segment>& segments, std::byte* arena, Visit visit) {
  size_t i = 0;
  for (const Segment& segment : segments) {
    const double l2 = coefficient(segment, "segment.l2");
    T* values = reinterpret_cast<T*>(arena) + segment.offset;
    for (int64_t k = 0; k < segment.length; ++k, ++i) visit(values[k], i, l2);
  }
}

template <class Visit>
void for_each(DType precision, const std::vector<Segment>& segments, std::byte* arena,
              Visit visit) {
  if (precision == DType::f32) return for_each<float>(segments, arena, visit);
  for_each<double>(segments, arena, visit);
}

}  // namespace

Objective::Objective(std::shared_ptr<const Model> model, const std::vector<Source>& sources,
                     std::vector<uint32_t> index, uint32_t seed, int threads, Arrays arrays,
                     std::vector<Segment> segments, Hypers hypers, Columns columns)
    : model_(std::move(model)),
      index_(std::move(index)),
      arrays_(arrays),
      hypers_(std::move(hypers)),
      columns_(std::move(columns)),
      there_(model_->device().memory(), model_->layout(), with_hypers()),
      precision_(model_->layout().precision) {
  if (index_.empty()) throw std::invalid_argument("there are no rows to train on");
  refuse_what_varies(model_->function("grad"));
  freeze_without_gradient(*model_, segments);
  const int64_t total = model_->layout().param_bytes / size_of(precision_);
  for (Segment& segment : segments) {
    if (segment.offset < 0 || segment.length < 0 || segment.offset > total - segment.length) {
      throw std::invalid_argument("a segment lies outside the parameter arena");
    }
    if (segment.frozen) continue;
    if (coefficient(segment, "segment.l1") != 0 || coefficient(segment, "segment.decay") != 0) {
      throw std::invalid_argument(
          "L-BFGS minimises smooth objectives: it takes no l1 penalty and no weight decay; use "
          "l2, or another optimizer");
    }
    size_ += segment.length;
    segments_.push_back(std::move(segment));
  }
  std::sort(segments_.begin(), segments_.end(),
            [](const Segment& a, const Segment& b) { return a.offset < b.offset; });
  rule_ = {static_cast<int64_t>(index_.size()), kChunkRows};
  chunks_ = std::make_unique<Spans>(*model_, "grad", rule_, Cut{}, sources, index_, there_.arrays(),
                                    seed, threads, 1);
  for (const Spans::Bound& bound : chunks_->bound()) bound.plan.prepare_gathers(*bound.call);
  const Plan& plan = chunks_->bound()[0].plan.plan();
  if (check_sums(plan)) {
    throw std::invalid_argument("L-BFGS skips no step: build the program without loss scaling");
  }
  if (!plan.row_gradients().empty()) {
    throw std::invalid_argument("L-BFGS needs whole gradients: build the program without rows");
  }
}

Arrays Objective::with_hypers() {
  arrays_.hyper = hypers_.data();
  return arrays_;
}

double* Objective::at(std::vector<double>& x, int64_t offset) const {
  double* found = x.data();
  for (const Segment& segment : segments_) {
    if (segment.offset == offset) return found;
    found += segment.length;
  }
  return nullptr;
}

void Objective::read_weights(std::vector<double>& x) const {
  x.resize(size());
  for_each(precision_, segments_, arrays_.param,
           [&](auto& weight, size_t i, double) { x[i] = static_cast<double>(weight); });
  if (double* w = at(x, columns_.weights)) columns_.from_weights(w, at(x, columns_.biases));
}

void Objective::write_weights(const std::vector<double>& x) {
  weights_ = x;
  if (double* w = at(weights_, columns_.weights)) {
    columns_.to_weights(w, at(weights_, columns_.biases));
  }
  for_each(precision_, segments_, arrays_.param, [&](auto& weight, size_t i, double) {
    weight = static_cast<std::remove_reference_t<decltype(weight)>>(weights_[i]);
  });
}

void Objective::run_chunk(int64_t chunk, std::vector<double>& gradient, Watch& watch) {
  const Spans::Span& span = chunks_->of(chunk);
  const Spans::Bound& found = chunks_->of(span.parts[0], index_.data() + rule_.begin(chunk));
  const BoundPlan& bound = found.plan;
  CallContext& call = *found.call;
  hypers_.set_if_declared("global_rows", static_cast<double>(span.rows));
  there_.to_device(Base::hyper);
  call.context.rows = span.rows;
  call.context.first_row = rule_.begin(chunk);
  call.watch = &watch;
  const LaneGrant grant(chunks_->lanes());
  run_lanes(grant.lanes(),
            [&](const Lane& lane) { bound.run(call, index_.data(), rule_.begin(chunk), lane); });
  call.watch = nullptr;
  const double share = static_cast<double>(span.rows) / static_cast<double>(rule_.rows);
  const auto& returns = bound.plan().returns();
  value_ += share * read<double>(returns[0], call);
  loss_sum_ += read<double>(returns[1], call);
  weight_sum_ += read<double>(returns[2], call);
  status_ |= call.context.status;
  there_.to_host(Base::gradient);
  for_each(precision_, segments_, arrays_.gradient,
           [&](auto& g, size_t i, double) { gradient[i] += share * static_cast<double>(g); });
}

double Objective::evaluate(const std::vector<double>& x, std::vector<double>& gradient,
                           Watch& watch) {
  const auto attempt = model_->placing().attempt();
  write_weights(x);
  there_.to_device();
  gradient.assign(size(), 0.0);
  value_ = loss_sum_ = weight_sum_ = 0;
  for (int64_t chunk = 0; chunk < rule_.steps() && !watch.stopped(); ++chunk) {
    run_chunk(chunk, gradient, watch);
    attempt->check();
  }
  double penalty = 0;
  for_each(precision_, segments_, arrays_.param, [&](auto&, size_t i, double l2) {
    penalty += 0.5 * l2 * weights_[i] * weights_[i];
    gradient[i] += l2 * weights_[i];
  });
  if (double* w = at(gradient, columns_.weights)) {
    columns_.gradient(w, at(gradient, columns_.biases));
  }
  return value_ + penalty;
}

}  // namespace slim
