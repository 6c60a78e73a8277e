// Binds a function for all types of data at once, and runs it on what one caller brings.
#include "runtime/call/session.h"

#include <algorithm>
#include <cstring>
#include <list>
#include <stdexcept>

#include "runtime/call/executor.h"

namespace slim {
namespace {

// A matrix with as many elements as a session has room for, and the arrays that it reads.
struct Fullest {
  Fullest(int64_t rows, int64_t columns, int64_t stored) : offsets{0} {
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t own = std::min(columns, stored - offsets.back());
      for (int64_t column = 0; column < own; ++column) ids.push_back(static_cast<int32_t>(column));
      offsets.push_back(offsets.back() + own);
    }
  }
  CsrArrays arrays() const {
    CsrArrays csr;
    csr.columns = reinterpret_cast<const std::byte*>(ids.data());
    csr.offsets = reinterpret_cast<const std::byte*>(offsets.data());
    csr.wide_offsets = true;
    csr.stored = offsets.back();
    return csr;
  }

  std::vector<int32_t> ids;
  std::vector<int64_t> offsets;
};

}  // namespace

Session::Bound::Bound(BoundPlan bound, int lanes)
    : plan(std::move(bound)), lanes(lanes), call(plan.lease(lanes)) {}

Session::Session(std::shared_ptr<const Model> model, const std::string& function,
                 const SessionOptions& options, const Arrays& arrays, Hypers hypers,
                 std::shared_ptr<PackedArrays> packed)
    : model_(std::move(model)),
      hypers_(std::move(hypers)),
      arrays_(arrays),
      packed_(std::move(packed)),
      counts_rows_(hypers_.offset("global_rows") >= 0),
      most_rows_(options.rows),
      most_stored_(options.stored) {
  const Function& made = model_->function(function);
  const auto refuse = [&](const std::string& why) {
    throw std::invalid_argument("[" + function + "] has no session: " + why);
  };
  if (!made.sets.empty() || !made.grads.empty()) {
    refuse("it writes to the model's arrays: train, or call slim_run");
  }
  if (options.rows < 1 || options.rows > int64_t{UINT32_MAX}) {
    refuse("the most rows of a run are 1 to 4294967295, not " + std::to_string(options.rows));
  }
  for (const std::string& symbol : model_->symbols(function)) {
    const auto told = options.sizes.find(symbol);
    if (told == options.sizes.end()) refuse("its options need the size of " + symbol);
    if (told->second < 1) refuse("the size of " + symbol + " is 1 or more");
  }
  for (const auto& [name, size] : options.sizes) {
    if (model_->symbols(function).count(name) == 0) refuse("it has no open dimension " + name);
  }
  arrays_.hyper = hypers_.data();
  rows_of_ = model_->rows(function, options.sizes);
  int64_t chunk = most_rows_;
  if (model_->chunkable(function, options.sizes)) {
    chunk = std::min(chunk, model_->chunk_rows(function, options.sizes));
  }
  for (const Rows use : rows_of_) {
    if (chunk < most_rows_ && use != Rows::local && use != Rows::none) {
      refuse("it adds up over more rows than " + std::to_string(chunk) + ": call slim_run");
    }
  }
  const auto plan = [&](int64_t rows) {
    return model_->plan(function, rows, options.sizes, packed_ != nullptr);
  };
  auto many = plan(chunk);
  read(*many, options);
  const bool exact = many->exact();
  bind(many_, std::move(many), options);
  if (!exact && chunk > 1) bind(one_, plan(1), options);
}

void Session::read(const Plan& plan, const SessionOptions& options) {
  for (const InputSlot& slot : plan.inputs()) {
    auto found = std::find_if(sources_.begin(), sources_.end(),
                              [&](const SessionSource& s) { return s.name == slot.source; });
    if (found == sources_.end()) {
      const bool sparse = slot.buffer.storage == Storage::csr;
      found = sources_.insert(found, {slot.source, slot.buffer.dims, slot.by_row, sparse});
    }
    const auto known = options.widths.find(slot.source);
    if (known != options.widths.end() && found->shape.size() > 1) found->shape[1] = known->second;
    if (!slot.columns.empty()) found->shape[1] = std::max(found->shape[1], slot.columns[1]);
    reads_.push_back({static_cast<size_t>(found - sources_.begin()),
                      "[input " + slot.name + "] source " + slot.source + ": "});
  }
  for (SessionSource& source : sources_) {
    for (size_t axis = 1; axis < source.shape.size(); ++axis) source.row *= source.shape[axis];
  }
}

// Of data that a run will bring.
Source Session::source_of(const SessionSource& source, SourceType type, int64_t rows) const {
  Source made{source.name, type, nullptr, source.shape, {}, {}, {}, {}};
  if (source.by_row && !made.shape.empty()) made.shape[0] = rows;
  made.strides.resize(made.shape.size());
  int64_t stride = bytes_of(type);
  for (size_t axis = made.shape.size(); axis-- > 0;) {
    made.strides[axis] = stride;
    stride *= std::max<int64_t>(made.shape[axis], 1);
  }
  return made;
}

void Session::bind(std::optional<Bound>& bound, std::shared_ptr<const Plan> plan,
                   const SessionOptions& options) {
  const int64_t capacity = plan->capacity();
  int lanes = 1;
  if (options.threads != 1) lanes = plan->useful_lanes(capacity, allowed_lanes(options.threads));
  int64_t bytes = plan->scratch_bytes() + lanes * plan->local_bytes();
  for (const InputSlot& slot : plan->inputs()) {
    if (slot.buffer.storage == Storage::csr) bytes += 16 * most_stored_ + 8 * capacity;
  }
  for (const Buffer& buffer : plan->returns()) {  // what a caller keeps of them
    bytes += bytes_of(buffer, capacity) / capacity * most_rows_;
  }
  if (options.bytes > 0 && bytes > options.bytes) {
    throw std::invalid_argument("a session of " + std::to_string(most_rows_) + " rows takes " +
                                std::to_string(bytes) + " bytes, the limit is " +
                                std::to_string(options.bytes) + ": ask for fewer rows");
  }
  // A sparse source has to be there while the session asks what it keeps room for.
  std::list<Fullest> fullest;
  std::vector<Gather> sizes, gathers;
  for (size_t i = 0; i < reads_.size(); ++i) {
    const InputSlot& slot = plan->inputs()[i];
    const SessionSource& source = sources_[reads_[i].source];
    for (size_t type = 0; type < kTypes; ++type) {
      Source given = source_of(source, static_cast<SourceType>(type), capacity);
      if (source.sparse) {
        const int64_t columns = source.shape[1];
        if (type == 0) fullest.emplace_back(capacity, columns, most_stored_);
        given.csr.emplace(fullest.back().arrays(), capacity, columns, reads_[i].where);
      }
      gathers.emplace_back(slot, given);
    }
    sizes.push_back(gathers.back());
  }
  bound.emplace(BoundPlan(std::move(plan), std::move(sizes), arrays_, 0, packed_), lanes);
  bound->gathers = std::move(gathers);
}

int64_t Session::extent(size_t result, int64_t rows) const {
  const Buffer& buffer = returns()[result];
  const int64_t capacity = many_->plan.plan().capacity();
  if (rows_of_[result] == Rows::local) return buffer.dims[0] / capacity * rows;
  return buffer.dims.empty() ? 1 : buffer.dims[0];
}

uint32_t Session::run(const Given* given, int64_t rows, std::byte* const* results) {
  const int64_t chunk = many_->plan.plan().capacity();
  if (rows > most_rows_ || rows < 1) {
    throw std::invalid_argument("a run of " + std::to_string(rows) +
                                " rows: this session is made for 1 to " +
                                std::to_string(most_rows_) + ", by its option rows");
  }
  if (many_->plan.plan().exact() && rows != chunk) {
    throw std::invalid_argument(
        "a run of " + std::to_string(rows) + " rows: this method mixes rows, and the session is " +
        "for batches of exactly " + std::to_string(chunk) + ": make one for these");
  }
  if (counts_rows_) hypers_.set("global_rows", static_cast<double>(rows));
  Bound& bound = rows == 1 && one_ ? *one_ : *many_;
  take(bound, given, rows);
  uint32_t status = 0;
  for (int64_t first = 0; first < rows; first += chunk) {
    const int64_t own = std::min(chunk, rows - first);
    status |= run_chunk(bound, given, first, own);
    const std::vector<Buffer>& found = bound.plan.plan().returns();
    for (size_t i = 0; i < found.size(); ++i) {
      int64_t at = 0;
      if (rows_of_[i] == Rows::local) at = first * bytes_of(found[i], 1);
      std::memcpy(results[i] + at, found[i].in<std::byte>(bound.call->context),
                  static_cast<size_t>(bytes_of(found[i], own)));
    }
  }
  return status;
}

// Sparse matrices, whose every element is looked at.
void Session::take(Bound& bound, const Given* given, int64_t rows) {
  for (size_t i = 0; i < reads_.size(); ++i) {
    const SessionSource& source = sources_[reads_[i].source];
    if (!source.sparse) continue;
    const CsrRows matrix(given[reads_[i].source].csr, rows, source.shape[1], reads_[i].where);
    if (matrix.stored() > most_stored_) {
      throw std::invalid_argument(reads_[i].where + "it stores " + std::to_string(matrix.stored()) +
                                  " elements, and this session has room for " +
                                  std::to_string(most_stored_) + ", by its option stored");
    }
    bound.gathers[i * kTypes].rebind(matrix);
  }
}

uint32_t Session::run_chunk(Bound& bound, const Given* given, int64_t first, int64_t rows) {
  Context& context = bound.call->context;
  context.status.store(0, std::memory_order_relaxed);
  context.rows = rows;
  context.first_row = first;
  std::optional<LaneGrant> grant;
  if (bound.lanes > 1) grant.emplace(bound.plan.plan().useful_lanes(rows, bound.lanes));
  run_lanes(grant ? grant->lanes() : 1, [&](const Lane& lane) {
    for (size_t i = 0; i < reads_.size() && lane.first(); ++i) {
      const SessionSource& source = sources_[reads_[i].source];
      const Given& own = given[reads_[i].source];
      if (source.sparse) {
        bound.gathers[i * kTypes].run(context, nullptr, first, 0, rows);
        continue;
      }
      const int64_t at = source.by_row ? first * source.row * bytes_of(own.type) : 0;
      const Gather& gather = bound.gathers[i * kTypes + static_cast<size_t>(own.type)];
      gather.run_from(own.data + at, context, 0, source.by_row ? rows : 1);
    }
    lane.barrier();
    run_plan(bound.plan.plan(), *bound.call, lane);
  });
  return context.status.load(std::memory_order_relaxed);
}

}  // namespace slim
