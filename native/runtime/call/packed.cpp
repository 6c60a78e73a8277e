// Packed copies within their budget.
#include "runtime/call/packed.h"

#include <algorithm>

#include "runtime/call/fork.h"
#include "runtime/call/team.h"

namespace slim {
namespace {

// Two of the largest that a plan may have.
constexpr int64_t kKeptBytes = 512 << 20;

int64_t kept = 0;  // under cache_lock()

std::shared_ptr<const Arena> pack(const Plan& plan, const Arrays& arrays, int lanes) {
  const auto& packed = plan.packed();
  const auto arena = std::make_shared<Arena>(packed.bytes);
  std::vector<Arena> locals;
  for (int lane = 0; lane < lanes; ++lane) locals.emplace_back(plan.local_bytes());
  Context context;
  arrays.lend(context);
  context.base[static_cast<int>(Base::packed)] = arena->data();
  run_lanes(lanes, [&](const Lane& lane) {
    std::byte* local = locals[static_cast<size_t>(lane.index())].data();
    for (const auto& launch : packed.launches) {
      const int64_t tasks = launch->tasks(0);  // as many for all rows
      launch->run_all(context, lane.begin(tasks), lane.end(tasks), local);
      lane.barrier();  // one may read what another made
    }
  });
  return arena;
}

}  // namespace

PackedArrays::Entries& PackedArrays::all() {
  static auto& entries = *new Entries;  // never ends: programs may outlive it at exit
  return entries;
}

PackedArrays::~PackedArrays() {
  Entries dropped;  // ends after the lock, as large blocks take the system a while
  const std::lock_guard lock(cache_lock());
  for (const auto& entry : own_) {
    kept -= entry->arena->size();
    dropped.splice(dropped.begin(), all(), entry);
  }
}

std::shared_ptr<const Arena> PackedArrays::find(const std::string& layout) {
  const auto found = std::find_if(own_.begin(), own_.end(),
                                  [&](const auto& entry) { return entry->layout == layout; });
  if (found == own_.end()) return nullptr;
  all().splice(all().begin(), all(), *found);
  return (*found)->arena;
}

void PackedArrays::drop_oldest(Entries& dropped) {
  const auto oldest = std::prev(all().end());
  auto& own = oldest->home->own_;
  own.erase(std::find(own.begin(), own.end(), oldest));
  kept -= oldest->arena->size();
  dropped.splice(dropped.begin(), all(), oldest);
}

std::shared_ptr<const Arena> PackedArrays::of(const Plan& plan, const Arrays& arrays, int lanes) {
  const std::string& layout = plan.packed().layout;
  {
    const std::lock_guard lock(cache_lock());
    if (auto found = find(layout)) return found;
  }
  auto made = pack(plan, arrays, lanes);
  Entries fresh, dropped;
  fresh.push_back({this, layout, made});
  const std::lock_guard lock(cache_lock());
  if (auto found = find(layout)) return found;
  own_.push_back(fresh.begin());
  all().splice(all().begin(), fresh);
  kept += made->size();
  while (kept > kKeptBytes && all().size() > 1) drop_oldest(dropped);
  return made;
}

int64_t PackedArrays::kept_bytes() {
  const std::lock_guard lock(cache_lock());
  return kept;
}

void PackedArrays::free_all() {
  Entries dropped;
  const std::lock_guard lock(cache_lock());
  while (!all().empty()) drop_oldest(dropped);
}

}  // namespace slim
