// A parsed program with its layout and the plans made for it so far.
#pragma once

#include <atomic>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ir/graph.h"
#include "ir/ops.h"
#include "runtime/plan/layout.h"
#include "runtime/plan/plan.h"

namespace slim {

class Model {
 public:
  // Verifies, for a device by its name. Throws std::invalid_argument. `lenient`: what the text
  // places on a device that is not there runs with the rest.
  explicit Model(Program program, const std::string& device = "cpu", bool lenient = false);
  // Parses it first.
  explicit Model(std::string_view text, const std::string& device = "cpu", bool lenient = false);

  const Program& program() const { return program_; }
  const Layout& layout() const { return layout_; }
  const Device& device() const { return *placing_.home; }
  const Placing& placing() const { return placing_; }
  bool has(const std::string& function) const { return program_.find(function) != nullptr; }
  // Throws std::invalid_argument that lists the functions there are.
  const Function& function(const std::string& name) const;
  // The symbols beside B whose sizes its sources tell.
  const std::set<std::string>& symbols(const std::string& function) const;
  // How each return depends on the rows of the batch, for these sizes of other symbols.
  std::vector<Rows> rows(const std::string& function, const Symbols& symbols = {}) const;
  // Whether it may run on part of the rows at a time: returns are rows or sums over them.
  bool chunkable(const std::string& function, const Symbols& symbols = {}) const;

  // The plan that runs so many rows at once: one that serves up to them where the function
  // allows that, otherwise one for exactly them. From a small cache, least recently used out.
  // `packed`: one whose calls are lent what it packs of the program's arrays.
  std::shared_ptr<const Plan> plan(const std::string& function, int64_t rows,
                                   const Symbols& symbols = {}, bool packed = false) const;
  // How many update functions there are: one for each optimizer.
  int64_t updates() const;
  // An optimizer's step over blocks of `elements` of the arenas; `compact`: of arenas that are
  // one block long.
  std::shared_ptr<const Plan> update_plan(int64_t elements, bool compact = false,
                                          int64_t index = 0) const;
  // The sums over a parameter's elements that update reads as hypers; null if there are none.
  std::shared_ptr<const Plan> measure_plan(int64_t elements) const;
  // The hypers that take the returns of `measure`, in their order: segment.<name of the value>.
  std::vector<std::string> measured() const;
  // What a plan of this program runs, as text: made anew, as a fit never asks.
  std::string text(const Plan& plan) const;
  // Rows of one chunk of a long call: a pure function of the program.
  int64_t chunk_rows(const std::string& function, const Symbols& symbols = {}) const;

  int64_t plan_hits() const { return hits_; }
  int64_t plan_misses() const { return misses_; }
  int64_t plan_count() const;

 private:
  struct Facts {
    explicit Facts(const Function& function);

    std::set<std::string> symbols;
    std::vector<Rows> rows;
    bool chunkable = true;
    bool by_row = true;
    int64_t bytes_per_row = 0;
    mutable std::atomic<bool> refused = false;  // a kernel would not run for any rows
  };
  struct Cached {
    PlanRequest request;
    std::shared_ptr<const Plan> plan;
  };
  std::shared_ptr<const Plan> element_plan(const std::string& function, int64_t elements,
                                           bool compact) const;
  std::shared_ptr<const Plan> cached(const PlanRequest& request) const;
  std::shared_ptr<const Plan> find(const PlanRequest& request) const;
  std::shared_ptr<const Facts> facts(const std::string& function, const Symbols& symbols) const;

  Program program_;
  Layout layout_;
  Placing placing_;
  std::map<std::string, std::shared_ptr<const Facts>> facts_;  // whatever other symbols are

  // Under cache_lock().
  struct Sized {
    std::string function;
    Symbols symbols;
    std::shared_ptr<const Facts> facts;
  };
  mutable std::list<Sized> sized_;   // for some of their sizes, the latest first
  mutable std::list<Cached> plans_;  // most recently used first
  mutable int64_t hits_ = 0;
  mutable int64_t misses_ = 0;
};

}  // namespace slim
