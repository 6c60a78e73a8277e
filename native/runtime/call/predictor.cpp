// The short road of predict.
#include "runtime/call/predictor.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <iterator>
#include <stdexcept>

#include "runtime/call/executor.h"
#include "runtime/call/forward.h"
#include "runtime/train/guard.h"

namespace slim {
namespace {

// What a gather is bound for, in their order.
constexpr SourceType kTypes[] = {SourceType::f32, SourceType::f64, SourceType::u8, SourceType::i32,
                                 SourceType::i64};
constexpr size_t kTypeCount = std::size(kTypes);

constexpr int kManyLanes = 64;

size_t place_of(SourceType type) {
  return static_cast<size_t>(std::find(std::begin(kTypes), std::end(kTypes), type) - kTypes);
}

Source contiguous(const std::string& name, SourceType type, const std::byte* data, int64_t rows,
                  const std::vector<int64_t>& row) {
  Source source{name, type, data, {rows}, {}, {}, {}, {}};
  source.shape.insert(source.shape.end(), row.begin(), row.end());
  source.strides.resize(source.shape.size());
  int64_t stride = bytes_of(type);
  for (size_t axis = source.shape.size(); axis-- > 0;) {
    source.strides[axis] = stride;
    stride *= std::max<int64_t>(source.shape[axis], 1);
  }
  return source;
}

bool readable(const std::byte* data, SourceType type, int64_t count, DType reads) {
  if (type == SourceType::f32) return all_finite(data, count, DType::f32);
  if (type != SourceType::f64) return true;
  return reads == DType::f32 ? fits_f32(data, count) : all_finite(data, count, DType::f64);
}

// Whether the source lies as the batch does.
bool is_copied(SourceType type, DType reads) {
  return (type == SourceType::f32 && reads == DType::f32) ||
         (type == SourceType::f64 && reads == DType::f64);
}

}  // namespace

Predictor::Predictor(std::shared_ptr<const Model> model, const std::string& function,
                     const std::vector<std::string>& sources, Arrays arrays, Hypers hypers,
                     int threads, std::shared_ptr<PackedArrays> packed)
    : model_(std::move(model)),
      function_(function),
      arrays_(arrays),
      hypers_(std::move(hypers)),
      threads_(threads),
      packed_(std::move(packed)),
      elsewhere_(!model_->device().memory().is_host()),
      shapes_(sources.size()) {
  const std::vector<Rows>& rows = model_->rows(function);
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument("function " + function + " has no short road: " + why);
  };
  if (rows.size() != 1 || rows[0] != Rows::local || !model_->chunkable(function)) {
    refuse("it must return one array, row by row");
  }
  walk(model_->function(function).graph, [&](const Graph&, const Node& node) {
    if (node.op == "custom") refuse("it calls Python, whose lock it may have to wait for");
  });
  if (sources.size() > kMostSources) refuse("it has too many sources");
  auto many = model_->plan(function, model_->chunk_rows(function), {}, packed_ != nullptr);
  if (many->exact()) refuse("its shapes mix rows");
  for (const InputSlot& slot : many->inputs()) {
    const auto found = std::find(sources.begin(), sources.end(), slot.source);
    if (found == sources.end() || !slot.by_row || !slot.columns.empty() ||
        slot.buffer.storage != Storage::dense) {
      refuse("it must read whole dense rows of what it is given");
    }
    const auto source = static_cast<size_t>(found - sources.begin());
    std::vector<int64_t> row(slot.buffer.dims.begin() + 1, slot.buffer.dims.end());
    if (shapes_[source] && *shapes_[source] != row) refuse("it reads a source in two shapes");
    shapes_[source] = row;
    int64_t count = 1;
    for (const int64_t dim : row) count *= dim;
    reads_.push_back({slot.source, source, std::move(row), count, slot.buffer.dtype});
  }
  if (reads_.empty()) refuse("it reads no rows");
  arrays_.hyper = hypers_.data();
  one_.emplace(bind(model_->plan(function, 1, {}, packed_ != nullptr)));
  many_.emplace(bind(std::move(many)));
  const Buffer& result = one_->plan.plan().returns()[0];
  dtype_ = result.dtype;
  row_shape_.assign(result.dims.begin() + 1, result.dims.end());
  row_bytes_ = result.count(1) * size_of(dtype_);
  if (result.dims[0] != 1) refuse("it returns several rows for one");
}

Predictor::Bound Predictor::bind(std::shared_ptr<const Plan> plan) const {
  std::vector<Gather> gathers;
  for (size_t i = 0; i < reads_.size(); ++i) {
    for (const SourceType type : kTypes) {
      gathers.emplace_back(plan->inputs()[i], contiguous(reads_[i].name, type, nullptr,
                                                         plan->capacity(), reads_[i].row));
    }
  }
  const bool pays = plan->useful_lanes(plan->capacity(), kManyLanes) > 1;
  return {BoundPlan(std::move(plan), std::move(gathers), arrays_, 0, packed_), pays};
}

bool Predictor::run(const Given* sources, int64_t rows, std::byte* result,
                    const Interrupt& interrupt) const {
  const bool goes_long = rows > many_->plan.plan().capacity() || elsewhere_;
  for (const Read& read : reads_) {
    const auto& [data, type] = sources[read.source];
    if (!goes_long && is_copied(type, read.dtype)) continue;  // and looked at there
    if (!readable(data, type, rows * read.count, read.dtype)) return false;
  }
  if (rows == 0) return true;
  if (goes_long) return run_long(sources, rows, result, interrupt);
  const Bound& chosen = rows == 1 ? *one_ : *many_;
  const BoundPlan& bound = chosen.plan;
  std::optional<LaneGrant> grant;
  if (chosen.pays) grant.emplace(bound.plan().useful_lanes(rows, allowed_lanes(threads_)));
  const int lanes = grant ? grant->lanes() : 1;
  const Plan::Lease call = bound.lease(lanes);
  Context& context = call->context;
  context.rows = rows;
  std::atomic<bool> refused{false};
  run_lanes(lanes, [&](const Lane& lane) {
    for (size_t i = 0; i < reads_.size(); ++i) {
      const auto& [data, type] = sources[reads_[i].source];
      const Gather& gather = bound.gathers()[i * kTypeCount + place_of(type)];
      if (!is_copied(type, reads_[i].dtype)) {
        if (lane.first()) gather.run_from(data, context, 0, rows);
        continue;
      }
      // Each its part of an image too, which it will read.
      const int64_t size = bytes_of(type), count = rows * reads_[i].count;
      const int64_t begin = lane.begin(count), end = lane.end(count);
      if (!all_finite(data + begin * size, end - begin, reads_[i].dtype)) refused = true;
      std::memcpy(gather.buffer().in<std::byte>(context) + begin * size, data + begin * size,
                  static_cast<size_t>((end - begin) * size));
    }
    lane.barrier();
    if (!refused) run_plan(bound.plan(), *call, lane);
  });
  if (refused) return false;
  std::memcpy(result, bound.plan().returns()[0].in<std::byte>(context),
              static_cast<size_t>(rows * row_bytes_));
  return context.status.load(std::memory_order_relaxed) == 0;
}

bool Predictor::run_long(const Given* sources, int64_t rows, std::byte* result,
                         const Interrupt& interrupt) const {
  ForwardOptions options;
  options.rows = rows;
  options.threads = threads_;
  std::vector<Source> named;
  for (const Read& read : reads_) {
    const auto& [data, type] = sources[read.source];
    named.push_back(contiguous(read.name, type, data, rows, read.row));
  }
  Forward forward(model_, function_, named, {}, options, arrays_, hypers_.copy(), packed_);
  forward.returns()[0].data = result;
  return forward.run(interrupt) == 0;
}

}  // namespace slim
