// Live ranges, aliases, results in place of dying operands, best-fit packing.
#include "passes/memory.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <stdexcept>

#include "ir/ops.h"
#include "passes/rewrite.h"

namespace slim {
namespace {

constexpr int64_t kLine = 64;
constexpr int64_t kMaxBytes = int64_t{1} << 46;

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
  Planner(const Function& function, const MemoryRequest& request)
      : graph_(function.graph), request_(request), storage_of_(graph_.values.size(), -1) {
    end_ = static_cast<int>(graph_.nodes.size());
    for (const auto& [id, place] : request.fixed) fix(id, place);
    wanted_.assign(graph_.values.size(), false);
    for (const auto& [id, place] : request.wanted) wanted_[id] = true;
    find_last_reads(function);
  }

  MemoryPlan plan() {
    for (int i = 0; i < end_; ++i) assign(i);
    place_wanted();
    pack();
    for (size_t id = 0; id < storage_of_.size(); ++id) {
      plan_.places.push_back(storage_of_[id] < 0 ? Place{0, -1} : storages_[storage_of_[id]].place);
    }
    return std::move(plan_);
  }

 private:
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

  // Through aliases: reading a view reads what it views.
  void find_last_reads(const Function& function) {
    last_read_.assign(graph_.values.size(), -1);
    for (ValueId id : graph_.returns) last_read_[id] = end_;
    for (const Assignment& a : function.sets) last_read_[a.value] = end_;
    for (const Assignment& a : function.grads) last_read_[a.value] = end_;
    for (int i = end_ - 1; i >= 0; --i) {
      const Node& node = graph_.nodes[i];
      const bool alias = op_row(node).has(kAlias);
      for (ValueId id : node.operands) {
        const int read = alias ? last_read_[node.results[0]] : i;
        last_read_[id] = std::max({last_read_[id], read, i});
      }
    }
  }

  void assign(int i) {
    const Node& node = graph_.nodes[i];
    const OpRow& row = op_row(node);
    for (size_t r = 0; r < node.results.size(); ++r) {
      const ValueId id = node.results[r];
      int& storage = storage_of_[id];
      if (row.has(kAlias)) {
        storage = storage_of_[node.operands[0]];
      } else if (storage < 0) {
        storage = dying_operand(i, r);
        if (storage < 0) storage = add(bytes_of(graph_.values[id], request_.symbols));
      }
      Storage& s = storages_[storage];
      s.first = std::min(s.first, row.has(kSource) ? -1 : i);
      s.last = std::max({s.last, i, last_read_[id]});
    }
    for (ValueId id : node.operands) {
      Storage& s = storages_[storage_of_[id]];
      s.last = std::max(s.last, i);
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
      if (storages_[storage].placed || storages_[storage].last > i) continue;
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
    const ValueId parameter = region.parameters[k];
    for (ValueId id : region.returns) {
      if (id == parameter) return false;
    }
    bool stored = false;
    for (const Node& inner : region.nodes) {
      // Sums of a block are taken after all of its stores.
      const bool late = stored || inner.op == "reduce_sum";
      if (late && std::count(inner.operands.begin(), inner.operands.end(), parameter) > 0) {
        return false;
      }
      stored =
          stored || std::count(inner.results.begin(), inner.results.end(), region.returns[r]) > 0;
    }
    return stored;
  }

  // A wanted value is computed right where it must end up, unless somebody still reads the
  // old content there, or its storage has another home already; then it is copied. (It is
  // read at the end, so whatever shared its storage came before it.)
  void place_wanted() {
    for (const auto& [id, place] : request_.wanted) {
      const int storage = storage_of_[id];
      Storage& s = storages_[storage];
      if (!s.placed && s.first >= 0 && is_free(place, storage)) {
        s.placed = true;
        s.place = place;
      } else if (!s.placed || s.place != place) {
        plan_.copies.push_back({id, place});
      }
    }
  }

  // Nobody reads the old content of `place` after storage's node starts to write it.
  bool is_free(const Place& place, int storage) const {
    const int writer = storages_[storage].first;
    for (int i = writer; i < end_; ++i) {
      const Node& node = graph_.nodes[i];
      for (size_t k = 0; k < node.operands.size(); ++k) {
        const Storage& s = storages_[storage_of_[node.operands[k]]];
        if (!s.placed || s.place != place) continue;
        if (i > writer || op_row(node).has(kAlias)) return false;
        const Type& read = graph_.values[node.operands[k]].type;
        for (size_t r = 0; r < node.results.size(); ++r) {
          if (storage_of_[node.results[r]] != storage) continue;
          const Type& written = graph_.values[node.results[r]].type;
          if (read != written || !may_overwrite(node, r, k)) return false;
        }
      }
    }
    // A value that is returned, set or copied at the end is read there.
    for (size_t id = 0; id < storage_of_.size(); ++id) {
      if (storage_of_[id] < 0 || storage_of_[id] == storage || last_read_[id] < end_) continue;
      const Storage& s = storages_[storage_of_[id]];
      if (s.placed && s.place == place) return false;
    }
    return true;
  }

  // Largest first, each into the smallest gap between those alive at the same time.
  void pack() {
    std::vector<int> order;
    for (size_t i = 0; i < storages_.size(); ++i) {
      if (!storages_[i].placed && storages_[i].last >= 0) order.push_back(static_cast<int>(i));
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return storages_[a].bytes > storages_[b].bytes; });
    std::vector<int> done;  // by offset
    for (int i : order) {
      Storage& s = storages_[i];
      const int64_t size = room(s.bytes);
      int64_t at = 0, best = -1, best_gap = std::numeric_limits<int64_t>::max();
      for (int j : done) {
        const Storage& other = storages_[j];
        if (other.last < s.first || other.first > s.last) continue;
        const int64_t gap = other.place.offset - at;
        if (gap >= size && gap < best_gap) {
          best = at;
          best_gap = gap;
        }
        at = std::max(at, other.place.offset + room(other.bytes));
      }
      s.place = {0, best >= 0 ? best : at};
      plan_.scratch_bytes = std::max(plan_.scratch_bytes, s.place.offset + size);
      if (plan_.scratch_bytes > kMaxBytes) {
        throw std::invalid_argument("the function needs more scratch memory than there is");
      }
      done.insert(std::upper_bound(done.begin(), done.end(), i,
                                   [&](int a, int b) {
                                     return storages_[a].place.offset < storages_[b].place.offset;
                                   }),
                  i);
    }
  }

  static int64_t room(int64_t bytes) { return (bytes + kLine - 1) / kLine * kLine + kLine; }

  const Graph& graph_;
  const MemoryRequest& request_;
  int end_ = 0;
  std::vector<int> storage_of_;                   // by value
  std::vector<int> last_read_;                    // by value, through aliases
  std::vector<bool> wanted_;                      // by value
  std::map<std::pair<int, int64_t>, int> fixed_;  // storage by place
  std::vector<Storage> storages_;
  MemoryPlan plan_;
};

}  // namespace

MemoryPlan plan_memory(const Function& function, const MemoryRequest& request) {
  return Planner(function, request).plan();
}

}  // namespace slim
