// A kernel's source as a library of the host.
#pragma once

#include <memory>
#include <string>

#include "cuda/driver.h"
#include "cuda/emulated/block.h"

namespace slim::cuda {

class HostKernel final : public Kernel {
 public:
  void (*call)(const void*) = nullptr;
  size_t bytes = 0;  // of what it takes
  Now* now = nullptr;
  std::string name;
};

class HostModule final : public Module {
 public:
  // Compiled by CXX, else c++, or found in the cache. Throws DriverError with what the compiler
  // says.
  static std::unique_ptr<HostModule> compile(const std::string& source);
  ~HostModule() override;
  HostModule(const HostModule&) = delete;
  HostModule& operator=(const HostModule&) = delete;

  std::unique_ptr<Kernel> kernel(const std::string& name, const Grid& grid) override;

 private:
  explicit HostModule(void* library) : library_(library) {}

  void* library_;
};

}  // namespace slim::cuda
