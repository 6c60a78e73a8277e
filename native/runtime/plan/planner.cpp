// Where the values of a function lie: parse → passes → memory.
#include "runtime/plan/planner.h"

#include <algorithm>
#include <stdexcept>

#include "ir/ops.h"
#include "ir/text.h"
#include "ir/verify.h"
#include "passes/passes.h"

namespace slim {
namespace {

int arena_of(Base base) { return static_cast<int>(base); }

// Packed values of one plan take no more: other operands are packed in each call.
constexpr int64_t kMostPacked = 256 << 20;

// A program of smaller arrays computes anew what it makes of them, as calls would wait longer for
// each other to find it.
constexpr int64_t kLeastKept = 1 << 20;

}  // namespace

bool reads_optimizer(const Node& node, const PlanRequest& request) {
  return node.op == "input" && request.symbol == "P";
}

Planner::Planner(const Program& program, const Layout& layout, const PlanRequest& request,
                 const Device& device, const Placing& placing)
    : layout_(layout),
      request_(request),
      device_(device),
      placing_(placing),
      compute_(program.compute),
      function_(specialise(*program.find(request.function), request.symbols)) {
  if (const auto open = symbols_of(function_); open.size() > open.count(request.symbol)) {
    const auto size = std::find_if(open.begin(), open.end(), [&](const std::string& symbol) {
      return symbol != request.symbol;
    });
    throw std::invalid_argument("the size of " + *size + " is unknown in func " + request.function +
                                ": give it a value");
  }
  symbols_[request.symbol] = request.capacity;
  const bool of_rows = request.symbol == "B" && request.function != "init";
  place(function_, of_rows ? placing.where() : Where{});
  optimize(function_, program, device.accepts());
  if (request.told) text_ = print(function_, program);
  plan_memory_of(program);
}

Buffer Planner::at(const Graph& graph, ValueId id, const Place& place) const {
  const Type& type = graph.values[static_cast<size_t>(id)].type;
  Buffer buffer;
  const bool staged = place.arena == kStaged;
  buffer.base = staged ? Base::scratch : static_cast<Base>(place.arena);
  buffer.offset = place.offset + (staged ? memory_.scratch_bytes : 0);
  buffer.row_stride = place.row_stride;
  buffer.dtype = type.dtype;
  buffer.storage = type.storage;
  for (const Dim& dim : type.dims) buffer.dims.push_back(dim.evaluate(symbols_));
  if (!request_.exact && !type.dims.empty()) {
    buffer.per_row = type.dims[0].multiple_of(request_.symbol).value_or(0);
  }
  return buffer;
}

InputSlot Planner::input(const Node& node) const {
  const ValueId id = node.results[0];
  const Value& value = function_.graph.values[static_cast<size_t>(id)];
  InputSlot slot;
  slot.name = value.name;
  slot.source = std::get<std::string>(node.attributes.at("source"));
  slot.buffer = of(id);
  slot.by_row = !value.type.dims.empty() && value.type.dims[0].mentions(request_.symbol);
  const bool other = slot.by_row && value.type.dims[0] != Dim::symbol(request_.symbol);
  if (other && !request_.guest) {
    throw std::invalid_argument("[input " + value.name + "] " + to_string(value.type) +
                                ": the leading dimension of an input is B or fixed");
  }
  const auto columns = node.attributes.find("columns");
  if (columns != node.attributes.end()) {
    slot.columns = std::get<std::vector<int64_t>>(columns->second);
  }
  return slot;
}

// Of the program: the same in all calls.
bool Planner::is_array(ValueId id) const {
  if (static_cast<size_t>(id) >= layout_.places.size()) return false;
  const Base base = layout_.places[static_cast<size_t>(id)].base;
  return base == Base::param || base == Base::state;
}

// Finds a place for what a node packs of an array of the program.
void Planner::pack(Binding& binding, const std::vector<View>& views) {
  const auto packing = device_.packing(binding);
  if (!packing || packing->bytes > kMostPacked - packed_.bytes) return;
  if (!is_array(views[static_cast<size_t>(binding.node.operands[packing->operand])].root)) return;
  binding.packed = packed_at(packed_.bytes, packing->bytes);
  packings_[static_cast<size_t>(&binding.node - graph().nodes.data())] = {packed_.bytes, *packing};
  packed_.bytes += round_up(packing->bytes) + kAlignment;
}

// Finds places for what elementwise nodes compute of the program's arrays alone, such as the scales
// of norms: once for all calls, like what is packed.
void Planner::keep_results_of_arrays(const Program& program, MemoryRequest& request) {
  const bool pays = device_.memory().is_host() && layout_.param_bytes >= kLeastKept;
  if (!request_.packed || !pays) return;
  std::set<ValueId> leaves(graph().returns.begin(), graph().returns.end());
  for (const auto& [id, place] : request.wanted) leaves.insert(id);
  Function kept{"kept", {}, {}, {}};
  for (const Node& node : graph().nodes) {
    const OpRow& row = op_row(node);
    const auto stays = [&](ValueId id) { return is_array(id) || kept_.contains(id); };
    const auto has_rows = [&](ValueId id) {
      const Type& type = graph().values[static_cast<size_t>(id)].type;
      return !is_dense(type) ||
             std::any_of(type.dims.begin(), type.dims.end(),
                         [&](const Dim& dim) { return dim.mentions(request_.symbol); });
    };
    const auto is_free = [&](ValueId id) { return !leaves.contains(id) && !has_rows(id); };
    if (!(row.has(kElementwise) || row.has(kTapeRegion)) || node.operands.empty() ||
        !std::all_of(node.operands.begin(), node.operands.end(), stays) ||
        !std::all_of(node.results.begin(), node.results.end(), is_free)) {
      continue;
    }
    Binding binding{graph(), node, {}, {}};
    for (const ValueId id : node.operands) binding.operands.push_back(at(id, {}));
    int64_t end = packed_.bytes;
    for (const ValueId id : node.results) {
      binding.results.push_back(at(id, {arena_of(Base::packed), end}));
      end += round_up(binding.results.back().count(1) * size_of(binding.results.back().dtype)) +
             kAlignment;
    }
    if (end > kMostPacked || !device_.workspace(binding).empty()) continue;
    for (size_t i = 0; i < node.results.size(); ++i) {
      request.fixed[node.results[i]] = {arena_of(Base::packed), binding.results[i].offset};
      kept_.insert(node.results[i]);
    }
    packed_.bytes = end;
    kept.graph.nodes.push_back(node);
  }
  if (kept.graph.nodes.empty()) return;
  kept.graph.values = graph().values;
  packed_.layout += print(kept, program);
}

// Bytes of each buffer of a node's workspace; before memory is planned: places are those in the
// values that others are parts of.
std::vector<int64_t> Planner::workspace(const Graph& graph, const Node& node,
                                        const std::vector<View>& views) {
  Binding binding{graph, node, {}, {}};
  const auto shape = [&](ValueId id) {
    const View& view = views[static_cast<size_t>(id)];
    const DType dtype = graph.values[static_cast<size_t>(id)].type.dtype;
    return at(graph, id, {0, view.first * size_of(dtype), view.row_stride});
  };
  for (const ValueId id : node.operands) binding.operands.push_back(shape(id));
  for (const ValueId id : node.results) binding.results.push_back(shape(id));
  if (request_.packed && &graph == &this->graph()) pack(binding, views);
  return device_.workspace(binding);
}

// Weights and gradients are read and written where they lie: one element for each.
void Planner::need_precision(ValueId id) const {
  const Value& value = function_.graph.values[static_cast<size_t>(id)];
  const Type needed{layout_.precision, {Dim::symbol(request_.symbol)}};
  if (value.type == needed) return;
  throw std::invalid_argument("[update " + value.name + "] needs " + to_string(needed) +
                              ", declared as " + to_string(value.type));
}

void Planner::plan_memory_of(const Program& program) {
  MemoryRequest request;
  request.symbols = symbols_;
  for (size_t i = 0; i < program.declarations.size(); ++i) {
    const Layout::Place& place = layout_.places[i];
    request.fixed[static_cast<ValueId>(i)] = {arena_of(place.base), place.offset};
  }
  for (const Node& node : function_.graph.nodes) {
    if (!reads_optimizer(node, request_)) continue;
    const auto& source = std::get<std::string>(node.attributes.at("source"));
    if (source != "weight" && source != "gradient") {
      throw std::invalid_argument("update reads the sources weight and gradient, not " + source);
    }
    need_precision(node.results[0]);
    const Base base = source == "weight" ? Base::param : Base::gradient;
    request.fixed[node.results[0]] = {arena_of(base), 0};
  }
  int64_t sparse = 0;
  for (const Node& node : function_.graph.nodes) {
    for (const ValueId id : node.results) {
      if (is_sparse(id)) request.fixed[id] = {arena_of(Base::sparse), sparse++};
    }
  }
  for (const Assignment& grad : function_.grads) {
    if (is_sparse(grad.value)) continue;  // rows: the updater fetches them
    const int64_t offset = layout_.places[static_cast<size_t>(grad.declaration)].offset;
    request.wanted.push_back({grad.value, {arena_of(Base::gradient), offset}});
  }
  for (const Assignment& set : function_.sets) {
    const Layout::Place& place = layout_.places[static_cast<size_t>(set.declaration)];
    const int arena = request_.function == "grad" ? kStaged : arena_of(place.base);
    request.wanted.push_back({set.value, {arena, place.offset}});
  }
  if (is_update(request_.function)) {
    if (function_.graph.returns.size() != 1) {
      throw std::invalid_argument("update returns the next weights and nothing else");
    }
    need_precision(function_.graph.returns[0]);
    request.wanted.push_back({function_.graph.returns[0], {arena_of(Base::param), 0}});
  }
  keep_results_of_arrays(program, request);
  request.workspace = [this](const Graph& graph, const Node& node, const std::vector<View>& views) {
    return workspace(graph, node, views);
  };
  request.accepts_part = [this](const Node& node, bool apart) {
    return device_.accepts().accepts_part(node, apart);
  };
  // Of another device launches know where their values lie before a loop runs.
  if (device_.memory().is_host()) request.moving = {arena_of(Base::moving), arena_of(Base::count)};
  memory_ = plan_memory(function_, request);
}

}  // namespace slim
