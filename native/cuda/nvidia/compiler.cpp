// Options that keep the arithmetic exact, and the log where a kernel does not compile.
#include "cuda/nvidia/compiler.h"

#include <algorithm>

#include "cuda/driver.h"
#include "cuda/nvidia/library.h"

namespace slim::cuda::nvidia {
namespace {

constexpr size_t kMostOfLog = 4000;

std::string dotted(int major, int minor) {
  return std::to_string(major) + '.' + std::to_string(minor);
}

}  // namespace

// An older driver does not load what a newer major version compiles.
Compiler::Compiler(int major, int minor, int driver_version) : driver_version_(driver_version) {
  std::vector<std::string> names{"libnvrtc.so.13", "libnvrtc.so.12"};
  if (driver_version < 13000) names.erase(names.begin());
  const Library library = open_library(names, "cuda_nvrtc");
  if (library.handle == nullptr) {
    const std::string newest = driver_version < 13000 ? "nvidia-cuda-nvrtc-cu12" : "";
    throw DriverError("NVIDIA's run-time compiler is missing (" + library.failures +
                      "): pip install \"" + (newest.empty() ? "slimlearn[cuda13]" : newest) + '"');
  }
#define SLIM_FUNCTION(name, parameters)                                        \
  api_.name = reinterpret_cast<decltype(api_.name)>(library.find(#name));      \
  if (api_.name == nullptr) {                                                  \
    throw DriverError("NVIDIA's run-time compiler is too old, it lacks " #name \
                      ": pip install \"slimlearn[cuda13]\"");                  \
  }
  SLIM_NVRTC_FUNCTIONS(SLIM_FUNCTION)
#undef SLIM_FUNCTION
  api_.nvrtcVersion(&major_, &minor_);
  int count = 0;
  api_.nvrtcGetNumSupportedArchs(&count);
  std::vector<int> known(static_cast<size_t>(std::max(count, 1)), 0);
  api_.nvrtcGetSupportedArchs(known.data());
  const int wanted = major * 10 + minor;
  int best = 0;
  for (const int architecture : known) {
    if (architecture <= wanted) best = std::max(best, architecture);
  }
  if (best == 0) {
    throw DriverError("the GPU has compute capability " + dotted(major, minor) + ", NVRTC " +
                      version() + " compiles for " + dotted(known[0] / 10, known[0] % 10) +
                      " and newer: install an older NVRTC, or use device=\"cpu\"");
  }
  ptx_ = best != wanted;
  options_ = {
      (ptx_ ? "--gpu-architecture=compute_" : "--gpu-architecture=sm_") + std::to_string(best),
      "--std=c++17",
      "--fmad=false",
      "--ftz=true",
      "--prec-div=true",
      "--prec-sqrt=true"};
}

std::string Compiler::version() const { return dotted(major_, minor_); }

std::string Compiler::about() const {
  return "driver of CUDA " + dotted(driver_version_ / 1000, driver_version_ % 1000 / 10) +
         ", NVRTC " + version();
}

std::string Compiler::identity() const {
  std::string text = "NVRTC " + version();
  for (const std::string& option : options_) text += ' ' + option;
  return text;
}

std::string Compiler::compile(const std::string& source) const {
  struct Program {
    const NvrtcApi& api;
    ProgramHandle handle = nullptr;
    ~Program() { api.nvrtcDestroyProgram(&handle); }
  } program{api_};
  std::vector<const char*> options;
  for (const std::string& option : options_) options.push_back(option.c_str());
  Result result =
      api_.nvrtcCreateProgram(&program.handle, source.c_str(), "kernels", 0, nullptr, nullptr);
  if (result == 0) {
    result =
        api_.nvrtcCompileProgram(program.handle, static_cast<int>(options.size()), options.data());
  }
  size_t bytes = 0;
  std::string text;
  if (result == 0) {
    result = (ptx_ ? api_.nvrtcGetPTXSize : api_.nvrtcGetCUBINSize)(program.handle, &bytes);
    text.resize(bytes);
  }
  if (result == 0) {
    result = (ptx_ ? api_.nvrtcGetPTX : api_.nvrtcGetCUBIN)(program.handle, text.data());
  }
  if (result == 0) return text;
  std::string log;
  if (program.handle != nullptr && api_.nvrtcGetProgramLogSize(program.handle, &bytes) == 0) {
    log.resize(bytes);
    api_.nvrtcGetProgramLog(program.handle, log.data());
    log.resize(std::min(std::min(log.find('\0'), log.size()), kMostOfLog));
  }
  throw DriverError("a kernel does not compile (" + identity() + ", error " +
                    std::to_string(result) + "):\n" + log);
}

}  // namespace slim::cuda::nvidia
