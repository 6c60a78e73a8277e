// Facts of a program's functions and the cache of their plans.
#include "runtime/plan/model.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "ir/row_rules.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "kernels/needs_rows.h"
#include "runtime/call/fork.h"

namespace slim {
namespace {

constexpr size_t kPlans = 64;  // several functions for sequences of eight lengths
// What a chunk's values take: about half a second-level cache. Fewer rows than kFullRows leave
// tiles of products half empty and read the weights too often, unless that many need too much.
constexpr int64_t kChunkBytes = 512 << 10;
constexpr int64_t kFullRows = 64;
constexpr int64_t kMostRows = 1024;
// Lanes have a chunk each, which the shared cache holds for two of them: MobileNet v1 takes 106 ms
// instead of 113. But every chunk reads the weights: more where there are many.
constexpr int64_t kMostBytes = 16 << 20;
constexpr int64_t kWeightsShare = 4;
constexpr int64_t kMostForWeights = 128 << 20;

Program checked(Program program) {
  verify(program);
  return program;
}

int64_t row_bytes(const Value& value) {
  if (!is_dense(value.type)) return 0;  // small beside what is computed from it
  if (value.type.dims.empty() || !value.type.dims[0].mentions("B")) return 0;
  int64_t bytes = size_of(value.type.dtype);
  for (const Dim& dim : value.type.dims) {
    const bool known = dim.constant() || dim.multiple_of("B");
    if (known &&
        __builtin_mul_overflow(bytes, std::max<int64_t>(1, dim.evaluate({{"B", 1}})), &bytes)) {
      throw std::invalid_argument("[" + value.name + "] " + to_string(value.type) +
                                  " is larger than any memory");
    }
  }
  return bytes;
}

// Of all values that grow with the batch, as if none shared its place.
int64_t row_bytes(const Function& function) {
  int64_t bytes = 0;
  walk(function.graph, [&](const Graph& graph, const Node& node) {
    for (const ValueId id : node.results) {
      const int64_t one = row_bytes(graph.values[static_cast<size_t>(id)]);
      if (__builtin_add_overflow(bytes, one, &bytes)) bytes = INT64_MAX / 2;
    }
  });
  return bytes;
}

Placing placed(Program& program, const Device& rest, bool lenient) {
  place_custom(program, rest);
  return placing_of(program, rest, lenient);
}

}  // namespace

Model::Model(std::string_view text, const std::string& device, bool lenient)
    : Model(parse(text), device, lenient) {}

Model::Model(Program program, const std::string& device, bool lenient)
    : program_(checked(std::move(program))),
      layout_(program_),
      placing_(placed(program_, Device::find(device), lenient)) {
  for (const Function& function : program_.functions) {
    if (is_update(function.name) || function.name == "measure") continue;
    facts_[function.name] = std::make_shared<const Facts>(function);
  }
}

Model::Facts::Facts(const Function& function)
    : symbols(symbols_of(function)),
      rows(rows_of_returns(function)),
      chunkable(function.sets.empty() && function.grads.empty() &&
                std::count(rows.begin(), rows.end(), Rows::mixed) == 0),
      by_row(is_row_plan(function)),
      bytes_per_row(row_bytes(function)) {
  symbols.erase("B");
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

std::shared_ptr<const Model::Facts> Model::facts(const std::string& name,
                                                 const Symbols& symbols) const {
  const auto known = facts_.find(name);
  if (known == facts_.end()) {
    function(name);
    throw std::invalid_argument("function " + name + " runs over parameters, not over rows");
  }
  if (symbols.empty()) return known->second;
  const auto same = [&](const Sized& entry) {
    return entry.function == name && entry.symbols == symbols;
  };
  {
    const std::lock_guard lock(cache_lock());
    const auto found = std::find_if(sized_.begin(), sized_.end(), same);
    if (found != sized_.end()) return found->facts;
  }
  auto made = std::make_shared<const Facts>(specialise(function(name), symbols));
  std::list<Sized> dropped;  // ends after the lock
  const std::lock_guard lock(cache_lock());
  sized_.push_front({name, symbols, made});
  if (sized_.size() > kPlans) dropped.splice(dropped.begin(), sized_, std::prev(sized_.end()));
  return made;
}

const std::set<std::string>& Model::symbols(const std::string& function) const {
  return facts(function, {})->symbols;  // the model keeps these facts
}

std::vector<Rows> Model::rows(const std::string& function, const Symbols& symbols) const {
  return facts(function, symbols)->rows;
}

bool Model::chunkable(const std::string& function, const Symbols& symbols) const {
  return facts(function, symbols)->chunkable;
}

int64_t Model::chunk_rows(const std::string& function, const Symbols& symbols) const {
  int64_t row = std::max<int64_t>(1, facts(function, symbols)->bytes_per_row);
  int64_t rows = kFullRows;
  while (rows * 2 <= kChunkBytes / row && rows < kMostRows) rows *= 2;
  const int64_t most = std::clamp(layout_.param_bytes / kWeightsShare, kMostBytes, kMostForWeights);
  if (row <= most / rows) return rows;
  // So many that a look at what they share pays: a deep network keeps few of its values.
  row = std::clamp<int64_t>(plan(function, 1, symbols)->scratch_bytes(), 1, row);
  return std::clamp<int64_t>(most / row, 1, rows);
}

int64_t Model::plan_count() const {
  const std::lock_guard lock(cache_lock());
  return static_cast<int64_t>(plans_.size());
}

std::shared_ptr<const Plan> Model::plan(const std::string& function, int64_t rows,
                                        const Symbols& symbols, bool packed) const {
  PlanRequest request;
  request.function = function;
  request.capacity = rows;
  request.symbols = symbols;
  request.packed = packed;
  const std::shared_ptr<const Facts> known = facts(function, symbols);
  request.exact = !known->by_row || known->refused;
  if (!request.exact) {
    try {
      return cached(request);
    } catch (const NeedsRows&) {  // softmax over the batch
      request.exact = true;
    }
  }
  auto plan = cached(request);
  known->refused = true;
  return plan;
}

int64_t Model::updates() const {
  int64_t count = 0;
  while (has(update_name(count))) ++count;
  return count;
}

std::shared_ptr<const Plan> Model::update_plan(int64_t elements, bool compact,
                                               int64_t index) const {
  const std::string name = update_name(index);
  refuse_mixed_elements(function(name), program_.declarations.size(), "P");
  return element_plan(name, elements, compact);
}

std::vector<std::string> Model::measured() const {
  std::vector<std::string> names;
  if (!has("measure")) return names;
  const Graph& graph = function("measure").graph;
  for (const ValueId id : graph.returns) names.push_back("segment." + graph.values[id].name);
  return names;
}

std::shared_ptr<const Plan> Model::measure_plan(int64_t elements) const {
  if (!has("measure")) return nullptr;
  const Function& measure = function("measure");
  refuse_other_than_sums(measure, program_.declarations.size(), "P");
  const std::vector<std::string> own = measured();
  for (const Node& node : measure.graph.nodes) {
    for (const ValueId id : node.operands) {
      const std::string& name = measure.graph.values[static_cast<size_t>(id)].name;
      if (static_cast<size_t>(id) >= program_.declarations.size() ||
          std::find(own.begin(), own.end(), name) == own.end()) {
        continue;
      }
      throw std::invalid_argument("measure reads " + name + ", which it returns");
    }
  }
  return element_plan("measure", elements, false);
}

std::shared_ptr<const Plan> Model::element_plan(const std::string& name, int64_t elements,
                                                bool compact) const {
  if (!is_row_plan(function(name), "P")) {
    throw std::invalid_argument(name + " works element by element: f32[P] and scalars only");
  }
  PlanRequest request;
  request.function = name;
  request.symbol = "P";
  request.capacity = elements;
  request.compact = compact;
  return cached(request);
}

std::string Model::text(const Plan& plan) const {
  PlanRequest request = plan.request();
  request.told = true;
  return Plan(program_, layout_, request, device(), placing_).text();
}

std::shared_ptr<const Plan> Model::cached(const PlanRequest& request) const {
  if (request.capacity < 1) {
    throw std::invalid_argument("function " + request.function + " is planned for 1 " +
                                (request.symbol == "P" ? "element" : "row") + " or more, not for " +
                                std::to_string(request.capacity));
  }
  if (auto found = find(request)) return found;
  const int64_t block = request.capacity * size_of(layout_.precision);
  const Layout& layout = request.compact ? layout_.resized(block) : layout_;
  auto made = std::make_shared<const Plan>(program_, layout, request, device(), placing_);
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
           entry.request.compact == request.compact && entry.request.packed == request.packed &&
           entry.request.symbols == request.symbols;
  };
  const auto found = std::find_if(plans_.begin(), plans_.end(), same);
  if (found == plans_.end()) return nullptr;
  ++hits_;
  plans_.splice(plans_.begin(), plans_, found);
  return found->plan;
}

}  // namespace slim
