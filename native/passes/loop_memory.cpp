// Chooses for each carried value how a step hands it to the next.
#include "passes/loop_memory.h"

#include <algorithm>
#include <utility>

#include "passes/views.h"

namespace slim {
namespace {

// A shorter value is copied in less time than its second plan would take.
constexpr int64_t kLeastTurn = 4096;

}  // namespace

LoopMemory::LoopMemory(const NodeView& view, std::function<int64_t(const Value&)> bytes_of,
                       MemoryRequest::Arenas& moving)
    : node_(view.node),
      form_(view),
      body_(form_.body(view.node)),
      bytes_of_(std::move(bytes_of)),
      moving_(moving),
      handed_(form_.carried, false),
      bytes_(slots_.count(), 0),
      arenas_(slots_.count(), 0) {
  bytes_[slots_.kGo] = 2;
  bytes_[slots_.kCondition] = 1;
  for (size_t k = 0; k < form_.carried; ++k) read_at_.push_back(result_arena(k));
  const auto add_slice = [&](size_t slot, ValueId id, int64_t axis) {
    bytes_[slot] = bytes_of_(body_.values[static_cast<size_t>(id)]);
    if (axis == 0 && bytes_[slot] % kLine == 0 && take(slot)) bytes_[slot] = 0;
  };
  for (size_t k = 0; k < form_.scanned; ++k) {
    add_slice(slots_.scanned(k), body_.parameters[form_.carried + k], form_.scanned_axis(k));
  }
  for (size_t k = 0; k < form_.stacked; ++k) {
    add_slice(slots_.stacked(k), body_.returns[form_.carried + k], form_.stacked_axis(k));
  }
  find_slices();
}

// An arena for a part of the workspace, if there is one left.
bool LoopMemory::take(size_t slot) {
  if (moving_.first == moving_.end) return false;
  arenas_[slot] = moving_.first++;
  return true;
}

// Of a while_loop it is not known which step is the last.
void LoopMemory::find_slices() {
  if (form_.is_while) return;
  for (size_t s = 0; s < form_.stacked; ++s) {
    if (arenas_[slots_.stacked(s)] == 0) continue;
    const ValueId id = body_.returns[form_.carried + s];
    const auto end = body_.parameters.begin() + static_cast<std::ptrdiff_t>(form_.carried);
    const auto found = std::find(body_.parameters.begin(), end, id);
    if (found == end) continue;
    const auto k = static_cast<size_t>(found - body_.parameters.begin());
    if (handed_[k] || body_.returns[k] == id || !take(slots_.carried(k))) continue;
    handed_[k] = true;
    read_at_[k] = workspace_arena(slots_.stacked(s));
  }
}

MemoryRequest LoopMemory::parameters(const Graph& region) const {
  MemoryRequest request;
  for (size_t k = 0; k < region.parameters.size(); ++k) {
    const size_t scanned = k - form_.carried;
    request.fixed[region.parameters[k]] = {k < form_.carried ? read_at_[k]
                                           : scanned < form_.scanned
                                               ? workspace_arena(slots_.scanned(scanned))
                                               : operand_arena(form_.first_carried() + k)};
  }
  return request;
}

MemoryRequest LoopMemory::condition() const {
  MemoryRequest request = parameters(node_.regions[0]);
  request.wanted.push_back({node_.regions[0].returns[0], {workspace_arena(slots_.kCondition)}});
  return request;
}

MemoryRequest LoopMemory::body() {
  MemoryRequest request = parameters(body_);
  // Slices first: one may be what a carried value was.
  for (size_t k = 0; k < form_.stacked; ++k) {
    request.wanted.push_back(
        {body_.returns[form_.carried + k], {workspace_arena(slots_.stacked(k))}});
  }
  // Then those that are left elsewhere, before the places of others are written.
  const std::vector<bool> direct = carried_directly(request);
  for (const bool now : {false, true}) {
    for (size_t k = 0; k < form_.carried; ++k) {
      const bool in_place = !handed_[k] && direct[k];
      if (in_place != now) continue;
      const ValueId id = body_.returns[k];
      const bool waits = !handed_[k] && !now;
      bytes_[slots_.carried(k)] = waits ? bytes_of_(body_.values[static_cast<size_t>(id)]) : 0;
      request.wanted.push_back({id, {now ? result_arena(k) : workspace_arena(slots_.carried(k))}});
    }
  }
  return request;
}

// By carried value: whether a step may leave it where the next one reads it. What another
// carried value was goes by the workspace: that may have been overwritten by then.
std::vector<bool> LoopMemory::carried_directly(const MemoryRequest& request) const {
  std::vector<bool> fixed(body_.values.size(), false), direct;
  for (const auto& [id, place] : request.fixed) fixed[static_cast<size_t>(id)] = true;
  const std::vector<View> views = find_views(body_, body_.returns, fixed);
  const auto end = body_.parameters.begin() + static_cast<std::ptrdiff_t>(form_.carried);
  for (size_t k = 0; k < form_.carried; ++k) {
    const ValueId id = body_.returns[k];
    direct.push_back(
        id == body_.parameters[k] ||
        std::find(body_.parameters.begin(), end, views[static_cast<size_t>(id)].root) == end);
  }
  return direct;
}

// What is left in two places is copied to one of them in any case.
bool LoopMemory::is_wanted_once(size_t k) const {
  return std::count(body_.returns.begin(), body_.returns.end(), body_.returns[k]) == 1;
}

bool LoopMemory::take_turns(const MemoryPlan& body) {
  for (const Graph& region : node_.regions) {
    for (const Node& node : region.nodes) {
      if (!node.regions.empty() && is_loop(node)) return false;
    }
  }
  bool found = false;
  for (const MemoryPlan::Copy& copy : body.copies) {
    for (size_t k = 0; k < form_.carried; ++k) {
      if (copy.to.arena != result_arena(k) || handed_[k] || !is_wanted_once(k)) continue;
      const int64_t bytes = bytes_of_(body_.values[static_cast<size_t>(copy.value)]);
      if (bytes < kLeastTurn || moving_.end - moving_.first < 2) continue;
      take(slots_.carried(k));
      take(slots_.turned(k));
      bytes_[slots_.second(k)] = bytes;
      read_at_[k] = workspace_arena(slots_.turned(k));
      handed_[k] = found = true;
    }
  }
  return found;
}

}  // namespace slim
