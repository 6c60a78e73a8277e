// What launches make of a program's arrays, kept while these stay as they are.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "runtime/call/arrays.h"
#include "runtime/plan/plan.h"

namespace slim {

// Belongs to the arrays of one program, which nobody writes to while it lives: whoever owns them
// owns this and ends it before they change. Plans and calls share it. All of the process have one
// budget in bytes: what was not used for the longest goes back to the system first.
class PackedArrays {
 public:
  PackedArrays() = default;
  ~PackedArrays();
  PackedArrays(const PackedArrays&) = delete;
  PackedArrays& operator=(const PackedArrays&) = delete;

  // What a plan packs, made by so many lanes if it is not there. Calls at once may both make it;
  // one copy stays.
  std::shared_ptr<const Arena> of(const Plan& plan, const Arrays& arrays, int lanes);

  // Of all programs.
  static int64_t kept_bytes();
  static void free_all();

 private:
  struct Entry {
    PackedArrays* home;
    std::string layout;
    std::shared_ptr<const Arena> arena;
  };
  using Entries = std::list<Entry>;  // of the process, used last first

  static Entries& all();
  static void drop_oldest(Entries& dropped);
  std::shared_ptr<const Arena> find(const std::string& layout);

  // Under cache_lock().
  std::vector<Entries::iterator> own_;
};

}  // namespace slim
