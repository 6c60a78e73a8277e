// Attributes of a binding, and the choice of the instruction-set level.
#include "kernels/kernel.h"

#include <cstdlib>
#include <stdexcept>

#include "kernels/needs_rows.h"

// A level's kernels: pointers that the linker gathers (cpu/kernel_set.h). Weak: a build
// without the level has no such section and reads null.
#define SLIM_LEVEL(level)                                                                        \
  extern "C"                                                                                     \
      [[gnu::weak,                                                                               \
        gnu::visibility("hidden")]] const slim::KernelRow* const __start_slim_kernels_##level[]; \
  extern "C"                                                                                     \
      [[gnu::weak,                                                                               \
        gnu::visibility("hidden")]] const slim::KernelRow* const __stop_slim_kernels_##level[];
SLIM_LEVEL(generic)
SLIM_LEVEL(v3)
SLIM_LEVEL(v4)
#undef SLIM_LEVEL

namespace slim {

namespace {

template <class T>
const T* find(const Binding& binding, const std::string& attribute) {
  const auto found = binding.node.attributes.find(attribute);
  if (found == binding.node.attributes.end()) return nullptr;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) binding.refuse("attribute " + attribute + " has the wrong type");
  return value;
}

bool runs_v3() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
         __builtin_cpu_supports("popcnt");
#else
  return false;
#endif
}

bool runs_v4() {
#if defined(__x86_64__)
  return runs_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

struct Levels {
  std::map<std::string, KernelSet> sets;
  std::string built;  // also what does not run here

  void add(const char* isa, bool runs, const KernelRow* const* begin, const KernelRow* const* end) {
    if (begin == end) return;
    built += (built.empty() ? "" : ", ") + std::string(isa);
    if (!runs) return;
    KernelSet& set = sets[isa];
    set.isa = isa;
    for (; begin != end; ++begin) set.rows[(*begin)->op] = *begin;
  }

  Levels() {
    add("generic", true, __start_slim_kernels_generic, __stop_slim_kernels_generic);
    add("x86-64-v3", runs_v3(), __start_slim_kernels_v3, __stop_slim_kernels_v3);
    add("x86-64-v4", runs_v4(), __start_slim_kernels_v4, __stop_slim_kernels_v4);
  }
};

const Levels& levels() {
  static const auto& levels = *new Levels;  // never ends: a thread may outlive it at exit
  return levels;
}

}  // namespace

int64_t Binding::integer(const std::string& attribute, int64_t otherwise) const {
  const int64_t* value = find<int64_t>(*this, attribute);
  return value != nullptr ? *value : otherwise;
}

double Binding::number(const std::string& attribute, double otherwise) const {
  const auto found = node.attributes.find(attribute);
  if (found != node.attributes.end() && std::holds_alternative<int64_t>(found->second)) {
    return static_cast<double>(std::get<int64_t>(found->second));
  }
  const double* value = find<double>(*this, attribute);
  return value != nullptr ? *value : otherwise;
}

bool Binding::flag(const std::string& attribute, bool otherwise) const {
  const bool* value = find<bool>(*this, attribute);
  return value != nullptr ? *value : otherwise;
}

std::vector<int64_t> Binding::integers(const std::string& attribute) const {
  const auto* value = find<std::vector<int64_t>>(*this, attribute);
  return value != nullptr ? *value : std::vector<int64_t>{};
}

void Binding::refuse(const std::string& text) const {
  std::string where = node.op;
  if (!node.results.empty()) where += " " + graph.values[node.results[0]].name;
  const std::string message = "[" + where + "] " + text;
  for (const auto* buffers : {&operands, &results}) {
    for (const Buffer& buffer : *buffers) {
      if (buffer.per_row > 0) throw NeedsRows(message);
    }
  }
  throw std::invalid_argument(message);
}

const KernelSet* kernel_set(const std::string& isa) {
  const auto found = levels().sets.find(isa);
  return found != levels().sets.end() ? &found->second : nullptr;
}

std::string best_isa() {
  const char* wish = std::getenv("SLIM_ISA");
  if (wish != nullptr && *wish != '\0') {
    if (kernel_set(wish) != nullptr) return wish;
    std::string have;
    for (const auto& [isa, set] : levels().sets) have += (have.empty() ? "" : ", ") + isa;
    throw std::invalid_argument(
        "SLIM_ISA=" + std::string(wish) +
        ": this machine or build does not run that level; it runs " + have +
        ": unset SLIM_ISA, name one of these, or build others with SLIM_ISAS");
  }
  for (const char* isa : {"x86-64-v4", "x86-64-v3", "generic"}) {
    if (kernel_set(isa) != nullptr) return isa;
  }
  throw std::runtime_error(
      "slimlearn was built for " + levels().built +
      " alone, which this machine is not: reinstall it here (pip install "
      "--no-cache-dir --force-reinstall), or with SLIM_ISAS=all to run anywhere");
}

}  // namespace slim
