// Facts of a program's functions and the cache of their plans.
#include "runtime/plan/model.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>

#include "ir/row_rules.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "runtime/call/fork.h"

namespace slim {
namespace {

constexpr size_t kPlans = 16;
constexpr int64_t kChunkBytes = 512 << 10;  // values of a chunk: about half a second-level cache

const KernelSet* choose_kernels(std::string isa) {
  if (isa.empty()) isa = best_isa();
  const KernelSet* kernels = kernel_set(isa);
  if (!kernels) {
    throw std::invalid_argument("instruction set " + isa +
                                " is unknown, not built in, or not offered by this machine");
  }
  return kernels;
}

Program checked(std::string_view text) {
  Program program = parse(text);
  verify(program);
  return program;
}

// Of all values that grow with the batch, as if none shared its place.
int64_t row_bytes(const Function& function) {
  int64_t bytes = 0;
  for (const Value& value : function.graph.values) {
    if (!is_dense(value.type)) continue;  // small beside what is computed from it
    if (value.type.dims.empty() || !value.type.dims[0].mentions("B")) continue;
    int64_t one = size_of(value.type.dtype);
    for (const Dim& dim : value.type.dims) {
      const bool known = dim.constant() || dim.multiple_of("B");
      if (known &&
          __builtin_mul_overflow(one, std::max<int64_t>(1, dim.evaluate({{"B", 1}})), &one)) {
        throw std::invalid_argument("[" + value.name + "] " + to_string(value.type) +
                                    " is larger than any memory");
      }
    }
    if (__builtin_add_overflow(bytes, one, &bytes)) bytes = INT64_MAX / 2;
  }
  return bytes;
}

}  // namespace

Model::Model(std::string_view text, std::string isa)
    : program_(checked(text)), layout_(program_), kernels_(choose_kernels(std::move(isa))) {
  for (const Function& function : program_.functions) {
    if (function.name == "update") continue;
    Facts& facts = facts_[function.name];
    facts.rows = rows_of_returns(function);
    facts.chunkable = function.sets.empty() && function.grads.empty() &&
                      std::count(facts.rows.begin(), facts.rows.end(), Rows::mixed) == 0;
    facts.by_row = is_row_plan(function);
    facts.bytes_per_row = row_bytes(function);
  }
}

const Function& Model::function(const std::string& name) const {
  const Function* found = program_.find(name);
  if (found) return *found;
  std::string have;
  for (const Function& function : program_.functions) {
    have += (have.empty() ? "" : ", ") + function.name;
  }
  throw std::invalid_argument("this program has no function " + name + ": it has " + have);
}

const Model::Facts& Model::facts(const std::string& name) const {
  const auto found = facts_.find(name);
  if (found != facts_.end()) return found->second;
  function(name);
  throw std::invalid_argument("function " + name + " runs over parameters, not over rows");
}

const std::vector<Rows>& Model::rows(const std::string& function) const {
  return facts(function).rows;
}

bool Model::chunkable(const std::string& function) const { return facts(function).chunkable; }

int64_t Model::chunk_rows(const std::string& function) const {
  const int64_t wish = kChunkBytes / std::max<int64_t>(1, facts(function).bytes_per_row);
  int64_t rows = 64;
  while (rows * 2 <= wish && rows < 1024) rows *= 2;
  return rows;
}

std::shared_ptr<const Plan> Model::plan(const std::string& function, int64_t rows) const {
  PlanRequest request;
  request.function = function;
  request.capacity = rows;
  const Facts& known = facts(function);
  request.exact = !known.by_row || known.refused;
  if (!request.exact) {
    try {
      return cached(request);
    } catch (const std::invalid_argument&) {
      // A kernel may need to know its rows (softmax over the batch): exactly, then.
      request.exact = true;
    }
  }
  auto plan = cached(request);
  known.refused = true;
  return plan;
}

std::shared_ptr<const Plan> Model::update_plan(int64_t elements, bool compact) const {
  if (!is_row_plan(function("update"), "P")) {
    throw std::invalid_argument("update works element by element: f32[P] and scalars only");
  }
  PlanRequest request;
  request.function = "update";
  request.symbol = "P";
  request.capacity = elements;
  request.compact = compact;
  return cached(request);
}

std::shared_ptr<const Plan> Model::cached(const PlanRequest& request) const {
  if (auto found = find(request)) return found;
  const int64_t block = request.capacity * size_of(layout_.precision);
  const Layout& layout = request.compact ? layout_.resized(block) : layout_;
  auto made = std::make_shared<const Plan>(program_, layout, request, *kernels_);
  std::list<Cached> dropped;  // ends after the lock
  const std::lock_guard lock(cache_lock());
  ++misses_;
  plans_.push_front({request, made});
  if (plans_.size() > kPlans) dropped.splice(dropped.begin(), plans_, std::prev(plans_.end()));
  return made;
}

std::shared_ptr<const Plan> Model::find(const PlanRequest& request) const {
  const std::lock_guard lock(cache_lock());
  const auto same = [&](const Cached& entry) {
    return entry.request.function == request.function &&
           entry.request.capacity == request.capacity && entry.request.exact == request.exact &&
           entry.request.compact == request.compact;
  };
  const auto found = std::find_if(plans_.begin(), plans_.end(), same);
  if (found == plans_.end()) return nullptr;
  ++hits_;
  plans_.splice(plans_.begin(), plans_, found);
  return found->plan;
}

}  // namespace slim
