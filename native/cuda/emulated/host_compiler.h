// A kernel's source as a library of the host.
#pragma once

#include <memory>
#include <string>

#include "cuda/driver.h"
#include "cuda/emulated/block.h"

namespace slim::cuda {

struct HostKernel {
  void (*call)(const void*) = nullptr;
  size_t bytes = 0;  // of what it takes
  Now* now = nullptr;
  std::string name;
};

// The file of a library, compiled by CXX, else c++, or found in the cache. Throws DriverError with
// what the compiler says.
std::string compile_on_host(const std::string& source);

class HostModule {
 public:
  // Of such a file; is_open says whether it is one.
  explicit HostModule(const std::string& file);
  ~HostModule();
  HostModule(const HostModule&) = delete;
  HostModule& operator=(const HostModule&) = delete;

  bool is_open() const { return library_ != nullptr; }
  // Its `call` is null where there is none of this name.
  HostKernel kernel(const std::string& name) const;

 private:
  void* library_;
};

}  // namespace slim::cuda
