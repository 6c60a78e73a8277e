// Live ranges, aliases, results in place of dying operands, best-fit packing.
#include "passes/memory.h"

#include <algorithm>
#include <limits>
#include <span>
#include <stdexcept>

#include "ir/form.h"
#include "ir/loop.h"
#include "ir/ops.h"
#include "passes/loop_memory.h"
#include "passes/timeline.h"
#include "passes/views.h"

namespace slim {
namespace {

constexpr int64_t kMaxBytes = int64_t{1} << 46;
constexpr int64_t kLargeValue = 16 << 10, kApart = 1 << 10;

// One stretch of memory; several values may share it, one after or inside the other.
struct Storage {
  int64_t bytes = 0;
  int first = std::numeric_limits<int>::max();  // node that writes it, -1 before all
  int last = -1;                                // last node that reads it
  bool placed = false;                          // outside scratch
  Place place;
};

int64_t bytes_of(const Value& value, const std::map<std::string, int64_t>& symbols) {
  if (!is_dense(value.type)) return 0;  // as large as the data makes it: the call's
  int64_t bytes = size_of(value.type.dtype);
  for (const Dim& dim : value.type.dims) {
    const int64_t size = dim.evaluate(symbols);
    if (size < 0) throw std::invalid_argument("%" + value.name + " has a negative dimension");
    if (__builtin_mul_overflow(bytes, size, &bytes) || bytes > kMaxBytes) {
      throw std::invalid_argument("%" + value.name + " : " + to_string(value.type) +
                                  " is too large");
    }
  }
  return bytes;
}

class Planner {
 public:
  // `kept`: the values that are read at the end.
  Planner(const Graph& graph, const std::vector<ValueId>& kept, const MemoryRequest& request)
      : graph_(graph), request_(request), storage_of_(graph_.values.size(), -1) {
    end_ = static_cast<int>(graph_.nodes.size());
    for (const auto& [id, place] : request.fixed) fix(id, place);
    wanted_.assign(graph_.values.size(), false);
    for (const auto& [id, place] : request.wanted) wanted_[id] = true;
    std::vector<bool> fixed(graph_.values.size(), false);
    for (const auto& [id, place] : request.fixed) fixed[id] = true;
    views_ = find_views(graph, kept, fixed, request.accepts_part);
    find_last_reads(kept);
  }

  MemoryPlan plan() {
    plan_.rows_apart = request_.rows_apart;
    plan_.regions.resize(graph_.nodes.size());
    plan_.workspace.resize(graph_.nodes.size());
    stretch_.assign(graph_.nodes.size(), -1);
    for (int i = 0; i < end_; ++i) {
      assign(i);
      plan_regions(i);
      add_workspace(i);
    }
    place_wanted();
    pack();
    for (ValueId id = 0; id < static_cast<ValueId>(storage_of_.size()); ++id) {
      plan_.places.push_back(place_of(id));
    }
    for (const auto& [node, storage] : workspace_) {
      plan_.workspace[node].push_back({storages_[storage].place, storages_[storage].bytes});
    }
    for (int i = 0; i < end_; ++i) {
      for (MemoryPlan& region : plan_.regions[i]) settle(region, i);
    }
    return std::move(plan_);
  }

 private:
  struct Read {
    int node;  // the end is a node more
    size_t operand;
  };

  int add(int64_t bytes) {
    storages_.push_back({});
    storages_.back().bytes = bytes;
    return static_cast<int>(storages_.size() - 1);
  }

  void fix(ValueId id, const Place& place) {
    const auto [known, is_new] = fixed_.emplace(std::pair(place.arena, place.offset), 0);
    if (is_new) {
      known->second = add(0);
      storages_.back().place = place;
      storages_.back().placed = true;
    }
    storage_of_[id] = known->second;
  }

  bool one_root(ValueId a, ValueId b) const { return views_[a].root == views_[b].root; }
  // It is all of what it lies in, not the first part of that.
  bool fills_root(ValueId id) const {
    const View& view = views_[id];
    const auto bytes = [&](ValueId of) { return bytes_of(graph_.values[of], request_.symbols); };
    return view.first == 0 && view.row_stride == 0 && bytes(id) == bytes(view.root);
  }

  // Reading a view reads what it lies in, reading that reads all that was computed there.
  void find_last_reads(const std::vector<ValueId>& kept) {
    last_read_.assign(graph_.values.size(), -1);
    for (ValueId id : kept) last_read_[id] = end_;
    for (int i = end_ - 1; i >= 0; --i) {
      const Node& node = graph_.nodes[i];
      for (ValueId id : node.operands) {
        last_read_[id] = std::max(last_read_[id], i);
        for (ValueId result : node.results) {
          if (one_root(id, result)) last_read_[id] = std::max(last_read_[id], last_read_[result]);
        }
      }
    }
  }

  void assign(int i) {
    const Node& node = graph_.nodes[i];
    const OpRow& row = op_row(node);
    for (size_t r = 0; r < node.results.size(); ++r) {
      const ValueId id = node.results[r];
      const ValueId root = views_[id].root;
      int& storage = storage_of_[root];
      if (storage < 0 && root == id) storage = dying_operand(i, r);
      if (storage < 0) storage = add(bytes_of(graph_.values[root], request_.symbols));
      storage_of_[id] = storage;
      Storage& s = storages_[storage];
      s.first = std::min(s.first, row.has(kSource) ? -1 : i);
      s.last = std::max({s.last, i, last_read_[id]});
    }
    for (ValueId id : node.operands) {
      Storage& s = storages_[storage_of_[id]];
      s.last = std::max(s.last, i);
    }
  }

  void add_workspace(int i) {
    if (is_loop(graph_.nodes[i]) || !request_.workspace) return;
    for (const int64_t bytes : request_.workspace(graph_, graph_.nodes[i], views_)) {
      if (bytes > kMaxBytes) {
        throw std::invalid_argument("[" + graph_.nodes[i].op + "] needs more memory than there is");
      }
      workspace_.push_back({i, add(bytes)});
      storages_.back().first = storages_.back().last = i;
    }
  }

  Place place_of(ValueId id) const {
    if (storage_of_[id] < 0) return {0, -1};
    Place place = storages_[storage_of_[id]].place;
    place.offset += views_[id].first * size_of(graph_.values[id].type.dtype);
    place.row_stride = views_[id].row_stride;
    return place;
  }

  void plan_regions(int i) {
    const Node& node = graph_.nodes[i];
    if (!runs_regions(node)) return;
    int64_t bytes = 0;
    const auto add_plan = [&](const Graph& region, MemoryRequest request) {
      request.symbols = request_.symbols;
      request.workspace = request_.workspace;
      request.accepts_part = request_.accepts_part;
      request.moving = moving_;
      plan_.regions[i].push_back(Planner(region, region.returns, request).plan());
      bytes = std::max(bytes, plan_.regions[i].back().scratch_bytes);
      plan_.looked += plan_.regions[i].back().looked;
    };
    if (is_loop(node)) {
      plan_loop(i, add_plan);
      moving_ = request_.moving;  // for those after it
    } else {
      for (const Graph& region : node.regions) {
        MemoryRequest request;
        const size_t first = node.operands.size() - region.parameters.size();
        for (size_t k = 0; k < region.parameters.size(); ++k) {
          request.fixed[region.parameters[k]] = {operand_arena(first + k)};
        }
        for (size_t r = 0; r < region.returns.size(); ++r) {
          request.wanted.push_back({region.returns[r], {result_arena(r)}});
        }
        add_plan(region, std::move(request));
      }
    }
    if (bytes == 0) return;
    stretch_[i] = add(bytes);
    storages_.back().first = storages_.back().last = i;
  }

  template <class AddPlan>
  void plan_loop(int i, AddPlan add_plan) {
    const Node& node = graph_.nodes[i];
    const auto bytes = [&](const Value& value) { return bytes_of(value, request_.symbols); };
    LoopMemory loop({graph_, node}, bytes, moving_);
    const bool rows_apart = keeps_rows_apart({graph_, node});
    const auto add_plans = [&] {
      if (loop.form().is_while) add_plan(node.regions[0], loop.condition());
      MemoryRequest body = loop.body();
      body.rows_apart = rows_apart;
      add_plan(loop.form().body(node), std::move(body));
    };
    add_plans();
    if (loop.take_turns(plan_.regions[i].back())) {
      plan_.regions[i].clear();
      add_plans();
    }
    for (size_t w = 0; w < loop.bytes().size(); ++w) {
      workspace_.push_back({i, add(loop.bytes()[w])});
      Storage& storage = storages_.back();
      storage.first = storage.last = i;
      storage.place.arena = loop.arenas()[w];
      storage.placed = storage.place.arena != 0;
    }
  }

  // The plan of a region of node i, in the places of this graph.
  void settle(MemoryPlan& plan, int i) const {
    const Node& node = graph_.nodes[i];
    const auto move = [&](Place& place) {
      if (place.arena < 0) {
        const size_t at = static_cast<size_t>(-1 - place.arena) / 3;
        const Place whole =
            place.arena == workspace_arena(at)
                ? plan_.workspace[i][at].place
                : place_of((place.arena == result_arena(at) ? node.results : node.operands)[at]);
        place.arena = whole.arena;
        place.offset += whole.offset;
      } else if (place.arena == 0 && place.offset >= 0) {
        place.offset += storages_[stretch_[i]].place.offset;
      }
    };
    for (Place& place : plan.places) move(place);
    for (auto& buffers : plan.workspace) {
      for (MemoryPlan::Stretch& buffer : buffers) move(buffer.place);
    }
    for (MemoryPlan::Copy& copy : plan.copies) move(copy.to);
    for (std::vector<MemoryPlan>& regions : plan.regions) {
      for (MemoryPlan& region : regions) settle(region, i);
    }
  }

  // The storage of an operand that result r may overwrite, -1 if there is none:
  // element for element, of the same shape and size, in scratch, and not read later.
  int dying_operand(int i, size_t r) const {
    const Node& node = graph_.nodes[i];
    const Value& result = graph_.values[node.results[r]];
    for (size_t k = 0; k < node.operands.size(); ++k) {
      const ValueId id = node.operands[k];
      const Type& type = graph_.values[id].type;
      const int storage = storage_of_[id];
      if (storages_[storage].placed || storages_[storage].last > i || !fills_root(id)) continue;
      // What a source fills stays in scratch; a wanted value would have to be copied.
      if (storages_[storage].first < 0 && wanted_[node.results[r]]) continue;
      if (last_read_[id] > i || type.dims != result.type.dims) continue;
      if (size_of(type.dtype) != size_of(result.type.dtype)) continue;
      if (shared_at(i, r, storage, id) || !may_overwrite(node, r, k)) continue;
      return storage;
    }
    return -1;
  }

  // Another operand or an earlier result of node i lives in that storage too.
  bool shared_at(int i, size_t r, int storage, ValueId operand) const {
    const Node& node = graph_.nodes[i];
    for (ValueId id : node.operands) {
      if (id != operand && storage_of_[id] == storage) return true;
    }
    for (size_t k = 0; k < r; ++k) {
      if (storage_of_[node.results[k]] == storage) return true;
    }
    return false;
  }

  // Storing result r as it is computed never destroys what node still reads of operand k.
  static bool may_overwrite(const Node& node, size_t r, size_t k) {
    if (is_elementwise(node) || op_row(node).has(kInPlace)) return true;
    if (node.op != "fused") return false;
    const Graph& region = node.regions[0];
    if (!is_whole(region, region.returns[r])) return false;
    const auto is_operand = [&](ValueId id) {  // which may be several parameters
      for (size_t i = 0; i < node.operands.size(); ++i) {
        if (node.operands[i] == node.operands[k] && region.parameters[i] == id) return true;
      }
      return false;
    };
    if (std::any_of(region.returns.begin(), region.returns.end(), is_operand)) return false;
    bool stored = false;
    for (const Node& inner : region.nodes) {
      // Sums of a block are taken after all of its stores.
      const bool late = stored || inner.op == "reduce_sum";
      if (late && std::any_of(inner.operands.begin(), inner.operands.end(), is_operand)) {
        return false;
      }
      stored =
          stored || std::count(inner.results.begin(), inner.results.end(), region.returns[r]) > 0;
    }
    return stored;
  }

  // No other value that the region reads or yields is larger: what is as small as one row is
  // stored by the first task and read by all.
  static bool is_whole(const Graph& region, ValueId id) {
    const std::vector<Dim>& space = region.values[id].type.dims;
    const auto fits = [&](ValueId other) {
      return form_of(region.values[other].type, space).kind != Form::other;
    };
    return std::all_of(region.parameters.begin(), region.parameters.end(), fits) &&
           std::all_of(region.returns.begin(), region.returns.end(), fits);
  }

  // A wanted value is computed right where it must end up, unless somebody still reads the
  // old content there, or its storage has another home already; then it is copied. (It is
  // read at the end, so whatever shared its storage came before it.)
  void place_wanted() {
    find_reads();
    for (const auto& [id, place] : request_.wanted) {
      const int storage = storage_of_[id];
      Storage& s = storages_[storage];
      if (!s.placed && s.first >= 0 && is_free(place, storage)) {
        s.placed = true;
        s.place = place;
        at_place_[{place.arena, place.offset}].push_back(storage);
      } else if (!s.placed || s.place != place) {
        plan_.copies.push_back({id, place});
      }
    }
  }

  void find_reads() {
    reads_.resize(storages_.size());
    for (int i = 0; i < end_; ++i) {
      const Node& node = graph_.nodes[i];
      for (size_t k = 0; k < node.operands.size(); ++k) {
        reads_[storage_of_[node.operands[k]]].push_back({i, k});
      }
    }
    // A value that is returned, set or copied at the end is read there.
    for (size_t id = 0; id < storage_of_.size(); ++id) {
      if (storage_of_[id] >= 0 && last_read_[id] >= end_)
        reads_[storage_of_[id]].push_back({end_, 0});
    }
    for (size_t i = 0; i < storages_.size(); ++i) {
      const Place& place = storages_[i].place;
      if (storages_[i].placed)
        at_place_[{place.arena, place.offset}].push_back(static_cast<int>(i));
    }
  }

  // Nobody reads the old content of `place` after storage's node starts to write it.
  bool is_free(const Place& place, int storage) const {
    const auto others = at_place_.find({place.arena, place.offset});
    return others == at_place_.end() ||
           std::all_of(others->second.begin(), others->second.end(), [&](int other) {
             return std::all_of(reads_[other].begin(), reads_[other].end(), [&](const Read& read) {
               return is_harmless(read, storages_[storage].first, storage);
             });
           });
  }

  // It comes before the writer, or is the writer's own and element for element.
  bool is_harmless(const Read& read, int writer, int storage) const {
    if (read.node != writer) return read.node < writer;
    const Node& node = graph_.nodes[read.node];
    const ValueId id = node.operands[read.operand];
    if (one_root(id, node.results[0])) return false;
    for (size_t r = 0; r < node.results.size(); ++r) {
      const ValueId written = node.results[r];
      if (storage_of_[written] != storage) continue;
      if (graph_.values[id].type != graph_.values[written].type || !fills_root(id) ||
          !fills_root(written) || !may_overwrite(node, r, read.operand)) {
        return false;
      }
    }
    return true;
  }

  // Largest first, each into the smallest gap between those alive at the same time.
  void pack() {
    std::vector<int> order;
    for (size_t i = 0; i < storages_.size(); ++i) {
      if (!storages_[i].placed && storages_[i].last >= 0) order.push_back(static_cast<int>(i));
    }
    // Of equal ones those that are read last: what is alive at a moment lies close together.
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) {
      const Storage &x = storages_[a], &y = storages_[b];
      return x.bytes != y.bytes ? x.bytes > y.bytes : x.last > y.last;
    });
    size_t first = 0;
    while (first < order.size()) {
      size_t last = request_.rows_apart ? first : order.size();
      while (last < order.size() && storages_[order[last]].bytes == storages_[order[first]].bytes) {
        ++last;
      }
      pack(std::span(order).subspan(first, last - first), plan_.scratch_bytes);
      first = last;
    }
  }

  // Some storages, from a place on.
  void pack(std::span<const int> storages, int64_t begin) {
    Timeline timeline(end_ + 2);  // moment 0 is before all nodes
    for (int i : storages) {
      Storage& s = storages_[i];
      const int64_t size = room(s.bytes);
      const int64_t at = timeline.place(s.first + 1, s.last + 1, size);
      s.place = {0, begin + at};
      plan_.scratch_bytes = std::max(plan_.scratch_bytes, begin + at + size);
      if (plan_.scratch_bytes > kMaxBytes) {
        throw std::invalid_argument("the function needs more scratch memory than there is");
      }
      timeline.take(s.first + 1, s.last + 1, {at, at + size});
    }
    plan_.looked += timeline.looked();
  }

  // Large values lie a quarter of a page further from each other: what is stored to one then
  // seems, by the low bits of its address, to be nothing that is about to be read of another.
  static int64_t room(int64_t bytes) {
    return (bytes + kLine - 1) / kLine * kLine + (bytes < kLargeValue ? kLine : kApart);
  }

  const Graph& graph_;
  const MemoryRequest& request_;
  int end_ = 0;
  std::vector<int> storage_of_;                   // by value
  std::vector<int> last_read_;                    // by value, through aliases
  std::vector<bool> wanted_;                      // by value
  std::vector<View> views_;                       // by value
  std::vector<int> stretch_;                      // by node: the storage of its regions
  std::map<std::pair<int, int64_t>, int> fixed_;  // storage by place
  std::vector<Storage> storages_;
  std::vector<std::vector<Read>> reads_;                          // by storage
  std::map<std::pair<int, int64_t>, std::vector<int>> at_place_;  // storages
  std::vector<std::pair<int, int>> workspace_;                    // (node, storage)
  MemoryRequest::Arenas moving_ = request_.moving;                // those that no loop around has
  MemoryPlan plan_;
};

}  // namespace

MemoryPlan plan_memory(const Function& function, const MemoryRequest& request) {
  std::vector<ValueId> kept = function.graph.returns;
  for (const Assignment& a : function.sets) kept.push_back(a.value);
  for (const Assignment& a : function.grads) kept.push_back(a.value);
  return Planner(function.graph, kept, request).plan();
}

}  // namespace slim
