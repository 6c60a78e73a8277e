// What the driver stands on: libcuda's functions, a compiler of kernels, and libraries.
#pragma once

#include <memory>
#include <string>

#include "cuda/convolutions.h"
#include "cuda/nvidia/gpu.h"
#include "cuda/products.h"

namespace slim::cuda::nvidia {

class KernelCompiler {
 public:
  virtual ~KernelCompiler() = default;
  virtual std::string about() const = 0;  // "NVRTC 13.0"
  // What else the result depends on, beside the source; empty: it keeps results itself.
  virtual std::string identity() const = 0;
  // What cuModuleLoadData takes. Throws DriverError with its log.
  virtual std::string compile(const std::string& source) const = 0;
};

class Platform {
 public:
  virtual ~Platform() = default;
  virtual const DriverApi& api() const = 0;  // throws DriverError that says what to install
  virtual std::unique_ptr<KernelCompiler> compiler(const Gpu& gpu) const = 0;  // throws likewise
  virtual bool keeps_memory() const { return true; }  // that is freed, for the next who asks
  // Null: there is none; for convolutions why, in words.
  virtual std::unique_ptr<Products> products(const Gpu& gpu) const = 0;
  virtual std::unique_ptr<Convolutions> convolutions(const Gpu& gpu, std::string& why) const = 0;
};

// GPU `number` of the platform. Throws DriverError.
std::unique_ptr<Driver> open_driver(std::unique_ptr<const Platform> platform, int number);

// A stream as libcuda has it, for the libraries; whether what is put there counts; and that the
// library refused it, in words.
StreamHandle handle_of(Stream& stream);
bool takes_work(const Stream& stream);
void refuse(Stream& stream, const std::string& words) noexcept;

}  // namespace slim::cuda::nvidia
