// Where the time of a step goes: one record a launch, under the user's names.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "runtime/call/executor.h"
#include "runtime/plan/plan.h"

namespace slim {

struct LaunchProfile {
  std::string name;
  std::string op;
  int64_t calls = 0;
  double seconds = 0;  // of all calls
  double least = 0;    // of the fastest call
  double flops = 0;    // of one call
  double bytes = 0;
};

// Records come in the order of the first call.
class Profile {
 public:
  // `what` is timed: calls of one address share a record.
  template <class Work>
  void time(const void* what, const std::string& name, const std::string& op, const Cost& cost,
            Work work) {
    const auto begin = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    add(what, name, op, cost, took.count());
  }
  // As run_gathers and run_plan on one lane.
  void run_gathers(const Plan& plan, const std::vector<Gather>& gathers, const CallContext& call,
                   const uint32_t* index, int64_t first);
  void run_plan(const Plan& plan, const CallContext& call);
  void run_sequence(const Plan::Sequence& sequence, const CallContext& call, int64_t turn = 0);

  const std::vector<LaunchProfile>& launches() const { return launches_; }

 private:
  void add(const void* what, const std::string& name, const std::string& op, const Cost& cost,
           double seconds);

  std::vector<LaunchProfile> launches_;
  std::map<const void*, size_t> record_of_;
};

}  // namespace slim
