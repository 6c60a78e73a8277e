// Chunks of a call: each with a context of its own, results in the order of the rows.
#include "runtime/call/forward.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "runtime/call/executor.h"
#include "runtime/call/team.h"
#include "runtime/data/bind.h"

namespace slim {
namespace {

template <class T>
void add(std::byte* total, const std::byte* part, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    reinterpret_cast<T*>(total)[i] += reinterpret_cast<const T*>(part)[i];
  }
}

void add(DType dtype, std::byte* total, const std::byte* part, int64_t count) {
  switch (dtype) {
    case DType::f32:
      return add<float>(total, part, count);
    case DType::f64:
      return add<double>(total, part, count);
    case DType::i32:
      return add<uint32_t>(total, part, count);  // wraps around, as in one chunk
    case DType::i64:
      return add<uint64_t>(total, part, count);
    case DType::b8:
    case DType::u8:
      return add<uint8_t>(total, part, count);
    case DType::bf16:
    case DType::f16:
      break;  // of no result
  }
}

Arrays with(Arrays arrays, const std::byte* hyper) {
  arrays.hyper = hyper;
  return arrays;
}

// Of what no row makes: the plan is one of a row.
std::vector<int64_t> without_rows(const Type& type, Symbols symbols) {
  symbols["B"] = 0;
  std::vector<int64_t> shape;
  for (const Dim& dim : type.dims) shape.push_back(dim.evaluate(symbols));
  return shape;
}

// Rows of a chunk of at most so many, where a chunk takes long: of a few chunks each lane takes as
// many. Of the rows alone: what is added up over chunks has the same bits for any lanes.
int64_t shared_out(int64_t rows, int64_t most) {
  constexpr int64_t kShort = 64, kLanes = 8;
  const int64_t least = (rows + most - 1) / most;
  if (most >= kShort || least <= 1) return most;
  int64_t chunks = 2;
  while (chunks < std::min(least, kLanes)) chunks *= 2;
  if (least > kLanes) chunks = (least + kLanes - 1) / kLanes * kLanes;
  return (rows + chunks - 1) / chunks;
}

bool writes(const Function& function) { return !function.sets.empty() || !function.grads.empty(); }

}  // namespace

Forward::Forward(std::shared_ptr<const Model> model, std::string function,
                 const std::vector<Source>& sources, std::vector<uint32_t> index,
                 const ForwardOptions& options, Arrays arrays, Hypers hypers,
                 std::shared_ptr<PackedArrays> packed)
    : model_(std::move(model)),
      options_(options),
      index_(std::move(index)),
      hypers_(std::move(hypers)),
      arrays_(model_->device().memory(), model_->layout(), with(arrays, hypers_.data())),
      writes_(writes(model_->function(function))),
      symbols_(bind_symbols(model_->function(function), model_->symbols(function), sources)),
      rows_(model_->rows(function, symbols_)) {
  check_lengths(sources, index_);
  const int64_t rows = options_.rows;
  chunk_ = rows;
  if (model_->chunkable(function, symbols_)) {
    chunk_ = options_.chunk > 0 ? options_.chunk
                                : shared_out(rows, model_->chunk_rows(function, symbols_));
    chunk_ = std::min(chunk_, rows);
  }
  chunk_ = std::max<int64_t>(chunk_, 1);
  chunks_ = std::max<int64_t>(1, (rows + chunk_ - 1) / chunk_);
  hypers_.set_if_declared("global_rows", static_cast<double>(rows));
  const auto bind = [&](int64_t count) {
    auto plan = model_->plan(function, count, symbols_, packed != nullptr && !writes_);
    auto gathers = bind_sources(*plan, sources, index_);
    return BoundPlan(std::move(plan), std::move(gathers), arrays_.arrays(), options_.seed, packed);
  };
  bound_.emplace(bind(chunk_));
  const Plan& plan = bound_->plan();
  const int64_t last = rows - (chunks_ - 1) * chunk_;
  if (plan.exact() && last != chunk_ && rows > 0) last_.emplace(bind(last));
  for (size_t i = 0; i < plan.returns().size(); ++i) {
    const Buffer& buffer = plan.returns()[i];
    const Rows use = rows_[i];
    Returned returned{buffer.dtype, buffer.dims, use};
    if (rows == 0) {
      const Graph& graph = model_->function(function).graph;
      returned.shape = without_rows(graph.values[graph.returns[i]].type, symbols_);
    } else if (use == Rows::local) {
      returned.shape[0] = buffer.dims[0] / chunk_ * rows;
    } else if (use == Rows::sum && chunks_ > 1) {
      partial_.resize(plan.returns().size());
      partial_[i] = Arena(chunks_ * round_up(bytes_of(buffer, chunk_)));
    }
    returns_.push_back(returned);
  }
}

uint32_t Forward::run(const Interrupt& interrupt) {
  if (options_.rows == 0) {
    for (const Returned& returned : returns_) {
      int64_t bytes = size_of(returned.dtype);
      for (const int64_t dim : returned.shape) bytes *= dim;
      std::memset(returned.data, 0, static_cast<size_t>(bytes));
    }
    return 0;
  }
  const Plan& plan = bound_->plan();
  const int allowed = model_->device().lanes(allowed_lanes(options_.threads));
  // Many chunks: a lane takes one after the other. Few: the lanes share one chunk's tasks.
  int lanes = static_cast<int>(std::min<int64_t>(allowed, chunks_));
  const int inside = lanes < allowed ? plan.useful_lanes(chunk_, allowed) : 1;
  const bool shared = inside >= lanes;
  if (shared) lanes = inside;
  if (!shared && plan.useful_lanes(chunk_ * chunks_, 2) == 1) lanes = 1;
  const LaneGrant grant(lanes);
  lanes = grant.lanes();
  const auto attempt = model_->placing().attempt();
  std::vector<Plan::Lease> calls, last_calls;
  const int contexts = shared ? 1 : lanes;
  const int inner = shared ? lanes : 1;
  for (int i = 0; i < contexts; ++i) {
    calls.push_back(start(*bound_, inner));
    if (last_) last_calls.push_back(start(*last_, inner));
  }
  arrays_.to_device();
  Watch watch(interrupt);
  calls[0]->watch = &watch;  // the calling thread's
  if (last_) last_calls[0]->watch = &watch;
  for (const auto* leases : {&calls, &last_calls}) {
    for (const Plan::Lease& lease : *leases) lease->ends = &watch;
  }
  std::atomic<int64_t> next{0};
  run_lanes(lanes, [&](const Lane& lane) {
    const size_t own = shared ? 0 : static_cast<size_t>(lane.index());
    int64_t chunk = shared ? 0 : next++;
    while (chunk < chunks_ && !watch.stopped()) {
      const bool last = last_ && chunk + 1 == chunks_;
      run_chunk(chunk, *(last ? last_calls : calls)[own], shared ? lane : Lane(0, 1));
      chunk = shared ? chunk + 1 : next++;
    }
  });
  attempt->check();  // before the host has any of it
  if (writes_) arrays_.to_host();
  attempt->check();
  if (watch.stopped()) throw Interrupted();
  if (!partial_.empty()) add_up();
  uint32_t status = 0;
  for (const auto* leases : {&calls, &last_calls}) {
    for (const Plan::Lease& lease : *leases) status |= lease->context.status;
  }
  return status;
}

Plan::Lease Forward::start(const BoundPlan& bound, int lanes) const {
  Plan::Lease call = bound.lease(lanes, index_);
  bound.prepare_gathers(*call);
  call->context.step = options_.step;
  return call;
}

Profile Forward::profile(int64_t rounds) {
  Profile profile;
  const auto attempt = model_->placing().attempt();
  const Plan::Lease call = start(*bound_, 1);
  call->context.rows = std::min(chunk_, options_.rows);
  arrays_.to_device();
  const FlushDenormals flush;
  for (int64_t round = 0; round < rounds; ++round) {
    bound_->profile(profile, *call, index_.empty() ? nullptr : index_.data(), 0);
  }
  attempt->check();
  return profile;
}

void Forward::run_chunk(int64_t chunk, CallContext& call, const Lane& lane) noexcept {
  const bool last = chunk + 1 == chunks_;
  const int64_t first = chunk * chunk_;
  if (lane.first()) {
    call.context.rows = last ? options_.rows - first : chunk_;
    call.context.first_row = first;
  }
  lane.barrier();
  bound(chunk).run(call, index_.empty() ? nullptr : index_.data(), first, lane);
  lane.barrier();
  if (lane.first()) publish(chunk, call);
  lane.barrier();
}

void Forward::publish(int64_t chunk, const CallContext& call) noexcept {
  const Plan& plan = bound(chunk).plan();
  for (size_t i = 0; i < returns_.size(); ++i) {
    const Buffer& buffer = plan.returns()[i];
    const Rows use = rows_[i];
    const int64_t bytes = bytes_of(buffer, call.context.rows);
    std::byte* dst = returns_[i].data;
    bool there = returns_[i].on_device;
    if (use == Rows::local) {
      dst += chunk * bytes_of(bound_->plan().returns()[i], chunk_);
    } else if (use == Rows::sum && chunks_ > 1) {
      dst = partial_[i].data() + chunk * round_up(bytes);
      there = false;
    } else if (chunk > 0) {
      continue;
    }
    if (there) {
      model_->device().memory().copy(dst, buffer.in<std::byte>(call.context), bytes);
    } else {
      fetch(dst, buffer, call, bytes);
    }
  }
  const bool stopped = call.watch != nullptr && call.watch->stopped();
  if (call.context.status == 0 && !stopped) publish_state(plan, call);
}

// Pairs of chunks, pairs of pairs …: as exact as a sum that is not cut.
void Forward::add_up() {
  for (size_t i = 0; i < returns_.size(); ++i) {
    if (rows_[i] != Rows::sum) continue;
    const Buffer& buffer = bound_->plan().returns()[i];
    const int64_t bytes = bytes_of(buffer, chunk_);
    const auto part = [&](int64_t chunk) { return partial_[i].data() + chunk * round_up(bytes); };
    for (int64_t reach = 1; reach < chunks_; reach *= 2) {
      for (int64_t chunk = 0; chunk + reach < chunks_; chunk += 2 * reach) {
        add(buffer.dtype, part(chunk), part(chunk + reach), buffer.count(chunk_));
      }
    }
    std::memcpy(returns_[i].data, part(0), static_cast<size_t>(bytes));
  }
}

}  // namespace slim
