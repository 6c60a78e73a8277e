// What a run of steps does on the host: it sends data and numbers, starts them, fetches a report.
#include "cuda/steps.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#include "runtime/call/executor.h"
#include "runtime/plan/context_pool.h"
#include "runtime/train/freeze.h"

namespace slim::cuda {
namespace {

// Of the device, by rows that come and go; of what is free they leave most to what runs between
// the steps, such as predictions for held-out rows.
constexpr int64_t kMostFed = int64_t{256} << 20;
constexpr int64_t kFedShare = 4;

// Bytes that the rows may take; for tests and measurements as many as the environment says.
int64_t most_data(const Driver& driver) {
  if (const char* wish = std::getenv("SLIM_CUDA_DATA")) return std::atoll(wish);
  return driver.free_memory() / 8 * 7;
}

}  // namespace

CudaSteps::CudaSteps(const CudaDevice& device, StepsRequest request)
    : driver_(device.driver()),
      model_(std::move(request.model)),
      options_(request.options),
      rule_(request.rule),
      arrays_(request.arrays),
      hypers_(request.hypers.copy(device.memory())),
      scheduled_(request.scheduled),
      stream_(driver_.open_stream()),
      facts_(driver_, 1),
      call_(std::make_unique<StepCall>(driver_, *stream_, facts_.data())),
      state_(driver_, 1) {
  if (options_.exchange != nullptr) refuse_on_gpu("ranks do not share a step on a GPU");
  arrays_.hyper = hypers_.data();
  Arrays given = arrays_;
  Cut cut{options_.batch + 1};
  if (options_.batch != rule_.batch) {
    parts_ = open_parts();
    given.gradient = parts_->gradient.data();
    cut.rows = options_.batch;
  }
  spans_ = std::make_unique<Spans>(*model_, "grad", rule_, cut, request.sources, request.index,
                                   given, options_.seed, 1, rule_.steps());
  for (const Spans::Bound& bound : spans_->bound()) {
    may_skip_ = check_sums(bound.plan.plan());
    bound.call->context.call = call_.get();
    bound.call->context.rows = bound.plan.plan().capacity();
  }
  if (!spans_->bound()[0].plan.plan().row_gradients().empty()) {
    const char* why = parts_                  ? "cannot be added up"
                      : spans_->buckets() > 1 ? "cannot come from batches of several lengths"
                                              : nullptr;
    if (why != nullptr) {
      throw std::invalid_argument(std::string("gradients that are rows ") + why +
                                  ": build the program without rows");
    }
  }
  const Facts facts{0, 0, 0, options_.seed, 0};
  facts_.send(*stream_, &facts, 1);
  order_ = Piece<uint32_t>(driver_, request.index.size());
  freeze_without_gradient(*model_, request.segments);
  make_groups(request);
  send_sources(device);  // which take of what is free
  make_parts();
}

// Each input has its columns of all rows on the device, in the source's own type; where these have
// no room there, those of some batches.
void CudaSteps::send_sources(const CudaDevice& device) {
  // By source and columns, or where the codes lie: several sources may read them.
  std::map<std::tuple<std::string, int64_t, int64_t, const uint16_t*>, size_t> known;
  std::vector<const Gather*> read, fed;  // each once
  std::vector<std::vector<size_t>> which;
  int64_t bytes = 0;
  bool stays = false;  // rows of different length have no windows
  for (const Spans::Bound& bound : spans_->bound()) {
    which.emplace_back();
    const std::vector<InputSlot>& inputs = bound.plan.plan().inputs();
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Gather& gather = bound.plan.gathers()[i];
      const int64_t start = inputs[i].columns_start();
      const int64_t stop = inputs[i].columns.empty() ? -1 : inputs[i].columns[1];
      const uint16_t* codes = gather.coded() ? gather.coded()->codes() : nullptr;
      const auto [found, is_new] = known.try_emplace(
          {codes != nullptr ? "" : inputs[i].source, start, stop, codes}, read.size());
      which.back().push_back(found->second);
      if (!is_new) continue;
      read.push_back(&gather);
      stays |= gather.ragged() || gather.csr() || gather.resident();
      if (!gather.by_row() || gather.csr() || gather.resident()) continue;
      bytes += gather.packed_row_bytes() * gather.source_rows();
      fed.push_back(&gather);
    }
  }
  int64_t most = most_data(driver_);
  if (bytes > most) {  // what finished calls keep for the next is free, too
    ContextPool::free_idle();
    most = most_data(driver_);
  }
  if (bytes > most && !stays) {
    most = std::min({most, kMostFed, driver_.free_memory() / kFedShare});
    feed_ = std::make_unique<Feed>(driver_, rule_, fed, most, options_.threads);
    order_.send(*stream_, feed_->places().data(), order_.size());
  }
  std::vector<Data> data(read.size());
  for (size_t i = 0, next = 0; i < read.size(); ++i) {
    if (feed_ && read[i]->by_row()) {
      data[i].rows = feed_->rows(next++);
      continue;
    }
    if (read[i]->csr()) {
      data[i] = send_sparse(*read[i]->csr());
      continue;
    }
    if (read[i]->resident()) {
      data[i].rows = take_resident(device, *read[i]);
      continue;
    }
    const PackedRows rows = read[i]->packed();
    data[i].rows = send_bytes(rows.data, rows.bytes);
    if (!read[i]->ragged()) continue;
    data[i].offsets = send_bytes(reinterpret_cast<const std::byte*>(read[i]->ragged()->offsets),
                                 (read[i]->source_rows() + 1) * int64_t{sizeof(int64_t)});
  }
  for (size_t b = 0; b < which.size(); ++b) {
    from_.emplace_back();
    for (size_t i = 0; i < which[b].size(); ++i) {
      const Gather& gather = spans_->bound()[b].plan.gathers()[i];
      Data& own = from_.back().emplace_back(data[which[b][i]]);
      if (gather.coded()) send_curves(*gather.coded(), own);
    }
  }
}

// What others keep there is read in place, if its rows lie one after the other.
const void* CudaSteps::take_resident(const CudaDevice& device, const Gather& gather) {
  StridedRows rows = strided(gather);
  if (gather.is_packed()) return rows.data;
  Residents& residents = device.residents();
  const char* type = stored_type(gather.type());
  const Kernel& copying = residents.copying(type, type, type);
  return data_.emplace_back(residents.copied(copying, rows, bytes_of(gather.type()))).data();
}

void CudaSteps::send_curves(const CodedRows& rows, Data& data) {
  std::vector<StepCode> reads;
  for (const Coded& number : rows.read()) {
    reads.push_back({number.column, number.begin, number.bits});
  }
  data.reads = send_bytes(reinterpret_cast<const std::byte*>(reads.data()),
                          static_cast<int64_t>(reads.size() * sizeof(StepCode)));
  data.knots = send_bytes(reinterpret_cast<const std::byte*>(rows.knots()),
                          rows.knot_count() * int64_t{sizeof(float)});
}

CudaSteps::Data CudaSteps::send_sparse(const CsrRows& rows) {
  const CsrRows::Packed all = rows.packed();
  const auto send = [&](const auto* from, int64_t count) {
    return send_bytes(reinterpret_cast<const std::byte*>(from),
                      count * static_cast<int64_t>(sizeof *from));
  };
  Data data;
  data.rows = send(all.values, all.stored * size_of(all.dtype));
  data.offsets = send(all.offsets.data(), static_cast<int64_t>(all.offsets.size()));
  data.columns = send(all.columns, all.stored);
  return data;
}

const void* CudaSteps::send_bytes(const std::byte* from, int64_t bytes) {
  Piece<std::byte> piece(driver_, static_cast<size_t>(std::max<int64_t>(bytes, 1)));
  piece.send(*stream_, from, static_cast<size_t>(bytes));
  driver_.wait(*stream_);
  return data_.emplace_back(std::move(piece)).data();
}

void CudaSteps::begin(const uint32_t* order, const Report& so_far) {
  report_ = so_far;
  host_order_ = order;
  if (feed_) {
    feed_->begin(order);
  } else {
    order_.send(*stream_, order, order_.size());
  }
}

const Report& CudaSteps::run(int64_t first, int64_t last, const Rates& rates, Watch*) {
  const int64_t room = std::max<int64_t>(1, static_cast<int64_t>(rates_.size()) / rates.columns);
  for (int64_t begin = first; begin < last && !report_.refused(); begin += room) {
    run_some(begin, std::min(last, begin + room), rates);
  }
  return report_;
}

// The plan that a step takes.
size_t CudaSteps::bound_of(int64_t step) const noexcept {
  return spans_->place_of(spans_->of(step).parts[0], host_order_ + rule_.begin(step));
}

void CudaSteps::run_some(int64_t first, int64_t last, const Rates& rates) {
  StepState state;
  state.next = first;
  state.first = first;
  state.done = rates.number(first) - 1;
  state.loss_sum = report_.loss_sum;
  state.weight_sum = report_.weight_sum;
  state_.send(*stream_, &state, 1);
  group_facts_.send(*stream_, group_fact_list_.data(), group_fact_list_.size());
  rates_.send(*stream_, rates.row(first), static_cast<size_t>((last - first) * rates.columns));
  columns_.send(*stream_, &rates.columns, 1);
  for (const Spans::Bound& bound : spans_->bound()) bound.call->context.status = 0;
  for (int64_t begin = first; begin < last && driver_.is_well();) {
    const int64_t end = feed_ ? std::min(last, feed_->end_of_window(begin)) : last;
    if (feed_) feed_->before(*stream_, begin);
    enqueue_steps(begin, end);
    if (feed_) feed_->after(*stream_, begin);
    begin = end;
  }
  state_.fetch(*stream_, &state, 1);
  driver_.wait(*stream_);
  report_ = {state.next, state.loss_sum, state.weight_sum, state.status, state.finite != 0};
  const bool ran = state.next == last || report_.refused();
  if (!ran || !driver_.is_well()) report_.status |= kLostDevice;
}

void CudaSteps::enqueue_steps(int64_t first, int64_t last) noexcept {
  if (whole_) return whole_->run(*stream_, last - first);
  for (int64_t step = first; step < last && !failed(); ++step) {
    if (parts_) {
      enqueue_parts(step);
      continue;
    }
    const size_t bound = bound_of(step);
    if (!replay(bound, rule_.count(step))) enqueue_step(bound, rule_.count(step));
  }
}

// Whether a function of the user's did in a step that is on its way: no other will count.
bool CudaSteps::failed() const noexcept {
  return std::any_of(spans_->bound().begin(), spans_->bound().end(),
                     [](const Spans::Bound& bound) { return bound.call->context.status != 0; });
}

// What lies between parameters an update may have made 0/0.
void CudaSteps::end() const {
  const Layout& layout = model_->layout();
  const int64_t slots = layout.slots();
  for (const Layout::Place& place : layout.places) {
    if (place.base != Base::param || place.bytes % kAlignment == 0) continue;
    const int64_t from = place.offset + place.bytes, bytes = round_up(place.bytes) - place.bytes;
    driver_.fill(*stream_, arrays_.param + from, 0, bytes);
    for (int64_t slot = 0; slot < slots; ++slot) {
      driver_.fill(*stream_, arrays_.slot + slot * layout.param_bytes + from, 0, bytes);
    }
  }
  driver_.wait(*stream_);
}

Profile CudaSteps::profile(int64_t steps, const double* rates) {
  Profile profile;
  const size_t place = bound_of(0);
  const Spans::Bound& bound = spans_->bound()[place];
  const auto time = [&](const void* what, const std::string& name, const Cost& cost, auto work) {
    profile.time(what, name, "step", cost, [&] {
      work();
      driver_.wait(*stream_);
    });
  };
  const auto time_part = [&](const Part& part, const char* name) {
    time(&part, name, {}, [&] { enqueue(part); });
  };
  bound.call->context.rows = spans_->of(0).parts[0].rows;
  for (int64_t step = 0; step < steps; ++step) {
    run_some(0, 0, {rates, 1, 0, step});
    if (feed_) feed_->before(*stream_, 0);
    time_part(begin_, "begin");
    if (parts_) time_part(parts_->begin, "part");
    time_part(of_plans_[place].gather, "inputs");
    profile.run_sequence(bound.plan.plan().sequence(), *bound.call);
    if (parts_) time_part(*of_plans_[place].add, "sum");
    for (const Part& fetch : of_plans_[place].fetch) time_part(fetch, "rows");
    if (!chunk_list_.empty()) time_part(prepare_, "gradient");
    time_part(of_plans_[place].judge, "verdict");
    if (of_sums_) time_part(of_sums_->measure, "sums");
    if (of_sums_) time_part(of_sums_->take, "sums taken");
    time(&groups_, "update", {}, [&] {
      if (host_decides_ && !counts()) return;
      for (const Group& group : groups_) run_launches(group.plan.sequence(), *group.lease);
    });
    for (const Part& put : of_plans_[place].put) time_part(put, "rows back");
    if (of_plans_[place].publish) time_part(*of_plans_[place].publish, "state");
  }
  return profile;
}

int64_t CudaSteps::launches_per_step() const {
  const OfPlan& whole = of_plans_[0];
  const auto parts = static_cast<int64_t>(spans_->table()[0].parts.size());
  const int64_t each =
      (parts_ ? 3 : 1) + (whole.publish ? 1 : 0) + spans_->bound()[0].plan.plan().launches();
  int64_t launches = 2 + (chunk_list_.empty() ? 0 : 1) + parts * each;
  if (parts_ && parts_->keep) launches += 2;
  launches += static_cast<int64_t>(whole.fetch.size() + whole.put.size());
  for (const Group& group : groups_) launches += group.plan.launches();
  if (of_sums_) launches += 2;
  return launches;
}

int64_t CudaSteps::scratch_bytes() const {
  int64_t bytes = 0;
  for (const Spans::Bound& bound : spans_->bound()) bytes += bound.plan.plan().scratch_bytes();
  return bytes;
}

}  // namespace slim::cuda
