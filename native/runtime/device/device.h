// What the runtime asks of a device: one table, whoever stands behind it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernel.h"
#include "passes/passes.h"
#include "runtime/device/memory.h"

namespace slim {

class Gather;
class Steps;
struct StepsRequest;

// Shared by all calls of the process, which it outlives.
// Some work on a device, while it lives.
class Attempt {
 public:
  virtual ~Attempt() = default;
  // Throws std::runtime_error or std::bad_alloc that says what befell a device that does nothing
  // any more, or what of the work it refused.
  virtual void check() = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  virtual const std::string& name() const = 0;                 // as users say it
  virtual const std::string& level() const = 0;                // of its instruction set
  virtual std::string description() const { return level(); }  // for people
  // What passes may fuse for it.
  virtual const Accepts& accepts() const = 0;
  // Bytes of each buffer of a node's workspace, when shapes are known, but of places only where in
  // another value a part of it begins.
  virtual std::vector<int64_t> workspace(const Binding& binding) const = 0;
  // What it packs of one operand; none: nothing, or not where it stays from call to call.
  virtual std::optional<Packing> packing(const Binding&) const { return {}; }
  // Its launches. Throws std::invalid_argument where it has no kernel.
  virtual Prepared prepare(const Binding& binding) const = 0;
  // When all launches of a plan are prepared: what they have in common is made. Throws as prepare.
  virtual void link(const std::vector<Launch*>&) const {}
  // Threads of the host that may run a plan's launches, of so many there are.
  virtual int lanes(int available) const { return available; }
  virtual Memory& memory() const = 0;
  // For each context, where its memory is not the host's; it stays with it. Null: nothing.
  virtual std::unique_ptr<DeviceCall> open_call() const { return nullptr; }
  // Before the launches of a plan, where the memory is not the host's.
  virtual void begin(const Context&) const noexcept {}
  // Among them: within its memory.
  virtual void copy(const Context&, std::byte* to, const std::byte* from,
                    int64_t bytes) const noexcept {
    memory().copy(to, from, bytes);
  }
  // Pieces of a value that stand at like distances, on their way between it and one of its slices.
  struct Pieces {
    std::byte* to;
    int64_t to_step;  // bytes
    const std::byte* from;
    int64_t from_step;
    int64_t bytes;  // of a piece
    int64_t count;
  };
  virtual void copy(const Context& context, const Pieces& pieces) const noexcept {
    for (int64_t i = 0; i < pieces.count; ++i) {
      copy(context, pieces.to + i * pieces.to_step, pieces.from + i * pieces.from_step,
           pieces.bytes);
    }
  }
  // When a plan has a loop: what its steps need beside launches is made. Throws as prepare.
  virtual void prepare_loop() const {}
  // The context has another step and seed: launches from here on draw what these say.
  virtual void move_time(const Context&) const noexcept {}
  // After the launches of a plan, before the host looks at what they did, where the memory is not
  // the host's: waits for them and raises in the context what they raised.
  virtual void finish(const Context&) const noexcept {}
  // Whether data lie in its memory, where others may have put them.
  virtual bool holds(const std::byte*) const { return false; }
  // Before the first gather of rows that do: what it takes, in batches of so many rows, is made.
  // Throws as prepare.
  virtual void prepare_gather(const Context&, const Gather&, int64_t) const {}
  // Among the launches: into the batch, as Gather::run.
  virtual void gather(const Context&, const Gather&, const uint32_t*, int64_t) const noexcept {}
  // This thread begins some work on it; null where nothing can befall that.
  virtual std::unique_ptr<Attempt> attempt() const { return nullptr; }
  // What trains on it; the arrays of the request lie in its memory. Throws std::invalid_argument.
  virtual std::unique_ptr<Steps> steps(StepsRequest request) const = 0;

  // "cpu" for the best level of this machine, a level's name, or what was added. Throws
  // std::invalid_argument that says what there is.
  static const Device& find(const std::string& name);
  static bool has(const std::string& name);  // a level is none
  // Those that users choose from: not the levels.
  static std::vector<std::string> names();
  // Those that are known but not there, and what is missing.
  static std::map<std::string, std::string> absent();
  // Throws where one of this name is there already.
  static void add(std::unique_ptr<Device> device);
  // `name`, `name:1` … of a kind, each opened when somebody asks for it first; `open` throws
  // std::runtime_error that says what is missing.
  static void offer(const std::string& name, std::function<std::unique_ptr<Device>(int)> open);
};

// Beside the bits of launches: the device does nothing any more.
inline constexpr uint32_t kLostDevice = 16;

inline constexpr const char* kCpuLevels[] = {"generic", "x86-64-v3", "x86-64-v4"};
// Of a level; null where the build or the machine lacks it.
const Device* cpu_device(const std::string& level);
// cpu:1 and further: the processor again, so that what lies on several devices runs, with its
// copies, where there is one. Null for all others.
const Device* numbered_cpu(const std::string& name);
inline constexpr int kCpus = 8;

}  // namespace slim
