// A GPU as the runtime's device.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "cuda/driver.h"
#include "cuda/loop.h"
#include "cuda/resident.h"
#include "runtime/device/device.h"

namespace slim::cuda {

// Copies in an order of its own: the runtime moves memory when no launch runs on it.
class DeviceMemory final : public Memory {
 public:
  explicit DeviceMemory(Driver& driver) : driver_(driver), stream_(driver.open_stream()) {}

  bool is_host() const override { return false; }
  std::byte* allocate(int64_t bytes) override { return driver_.allocate(bytes); }
  void release(std::byte* data) noexcept override { driver_.release(data); }
  void to_device(std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    copy(to, from, bytes);
  }
  void to_host(std::byte* to, const std::byte* from, int64_t bytes) noexcept override {
    copy(to, from, bytes);
  }
  void copy(std::byte* to, const std::byte* from, int64_t bytes) noexcept override;
  void fill(std::byte* to, uint8_t value, int64_t bytes) noexcept override;

 private:
  Driver& driver_;
  std::unique_ptr<Stream> stream_;
  std::mutex mutex_;
};

class CudaDevice final : public Device {
 public:
  CudaDevice(std::string name, std::unique_ptr<Driver> driver);

  const std::string& name() const override { return name_; }
  const std::string& level() const override { return level_; }
  std::string description() const override;
  const Accepts& accepts() const override;
  int lanes(int) const override { return 1; }  // which wait for the GPU, not for each other
  std::vector<int64_t> workspace(const Binding& binding) const override;
  Prepared prepare(const Binding& binding) const override;
  void link(const std::vector<Launch*>& launches) const override;
  Memory& memory() const override { return memory_; }
  std::unique_ptr<DeviceCall> open_call() const override;
  void begin(const Context& context) const noexcept override;
  void copy(const Context& context, std::byte* to, const std::byte* from,
            int64_t bytes) const noexcept override;
  void copy(const Context& context, const Pieces& pieces) const noexcept override;
  void prepare_loop() const override;
  void move_time(const Context& context) const noexcept override;
  void finish(const Context& context) const noexcept override;
  bool holds(const std::byte* data) const override { return driver_->holds(data); }
  void prepare_gather(const Context& context, const Gather& gather, int64_t rows) const override;
  void gather(const Context& context, const Gather& gather, const uint32_t* index,
              int64_t first) const noexcept override;
  std::unique_ptr<Attempt> attempt() const override;
  std::unique_ptr<Steps> steps(StepsRequest request) const override;

  Driver& driver() const { return *driver_; }
  Residents& residents() const;  // throws DriverError

 private:
  std::atomic<const Kernel*>& gathering_of(const Gather& gather) const {
    return gathering_[static_cast<size_t>(gather.type())]
                     [static_cast<size_t>(gather.buffer().dtype)];
  }

  std::string name_;
  std::string level_;  // "sm_90"
  std::unique_ptr<Driver> driver_;
  mutable DeviceMemory memory_;
  mutable std::once_flag loops_;
  mutable std::unique_ptr<LoopKernels> loop_kernels_;
  mutable std::once_flag resides_;
  mutable std::unique_ptr<Residents> residents_;
  mutable std::atomic<const Kernel*> gathering_[kSourceTypes][kDTypes] = {};  // once prepared
};

// Makes `cuda`, `cuda:1` … known.
void offer_devices();

}  // namespace slim::cuda
