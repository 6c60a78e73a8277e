// Modules, functions and launches.
#include <cstring>

#include "cuda/emulated/entry.h"
#include "runtime/call/team.h"

namespace slim::cuda::emulated {
namespace {

constexpr unsigned int kPortable = 8;  // blocks of a cluster that need no leave

LaunchAttribute attribute_of(const LaunchConfig& config) {
  return config.count > 0 ? *config.attributes : LaunchAttribute{};
}

void run_blocks(EmulatedGpu& gpu, const HostKernel& kernel, const LaunchConfig& config,
                bool together, const void* arguments) {
  const FlushDenormals flush;
  static auto& runner = *new BlockRunner;
  Now& now = *kernel.now;
  std::vector<std::max_align_t> shared(config.shared / sizeof(std::max_align_t) + 8);
  now.block_size = {config.block[0], 1, 1};
  now.grid = {config.grid[0], 1, 1};
  now.dynamic = shared.data();
  std::memset(shared.data(), 0xff, shared.size() * sizeof shared[0]);
  const std::string why = runner.run(kernel.call, arguments, now, together);
  if (!why.empty()) gpu.fail("kernel " + kernel.name + ": " + why);
}

Result launch(const char* call, const LaunchConfig& config, FunctionHandle function, void** extra) {
  StreamOf& stream = *config.stream;
  const std::lock_guard lock(emulated_lock());
  if (const Result result = enter(call, &stream.gpu)) {
    if (stream.recording) stream.spoilt = true;
    return result;
  }
  if (stream.spoilt) return kSpoilt;
  const HostKernel& kernel = function->kernel;
  const void* arguments = extra[1];
  const size_t bytes = *static_cast<const size_t*>(extra[3]);
  if (bytes != kernel.bytes) {
    return because(kInvalidValue, "kernel " + kernel.name + " takes " +
                                      std::to_string(kernel.bytes) +
                                      " bytes of arguments, and is given " + std::to_string(bytes));
  }
  const LaunchAttribute attribute = attribute_of(config);
  const bool cluster = attribute.id == LaunchAttribute::cluster;
  const bool cooperative = attribute.id == LaunchAttribute::cooperative;
  const unsigned int blocks = config.grid[0], threads = config.block[0];
  if (blocks < 1 || blocks > 0x7fffffff || threads < 1 || threads > 1024 ||
      config.shared > static_cast<unsigned int>(function->shared)) {
    return because(kInvalidValue,
                   "kernel " + kernel.name + " is launched on a grid that no GPU has");
  }
  if ((cluster || cooperative) && blocks > static_cast<unsigned int>(kMultiprocessorCount)) {
    return because(cluster ? kInvalidCluster : kTooLarge,
                   "kernel " + kernel.name + " is launched on a grid that no GPU has");
  }
  const auto* first = static_cast<const std::max_align_t*>(arguments);
  std::vector<std::max_align_t> kept((bytes + sizeof *first - 1) / sizeof *first);
  std::memcpy(kept.data(), arguments, bytes);
  put_work(stream,
           [&gpu = stream.gpu, kernel, config, together = cluster || cooperative,
            kept = std::move(kept)] { run_blocks(gpu, kernel, config, together, kept.data()); });
  return 0;
}

}  // namespace

// The image is the name of a library's file.
Result cuModuleLoadData(ModuleHandle* module, const void* image) {
  SLIM_ENTER(cuModuleLoadData);
  auto made = std::make_unique<ModuleOf>(static_cast<const char*>(image));
  if (!made->code.is_open()) return because(kInvalidValue, "the image is no library of kernels");
  *module = made.release();
  return 0;
}

Result cuModuleUnload(ModuleHandle module) {
  const std::lock_guard lock(emulated_lock());
  delete module;
  return 0;
}

Result cuModuleGetFunction(FunctionHandle* function, ModuleHandle module, const char* name) {
  SLIM_ENTER(cuModuleGetFunction);
  auto made = std::make_unique<FunctionOf>(FunctionOf{module->code.kernel(name)});
  if (made->kernel.call == nullptr) {
    return because(kNotFound, "there is no kernel " + std::string(name) + " in the module");
  }
  *function = made.get();
  module->functions.push_back(std::move(made));
  return 0;
}

Result cuFuncSetAttribute(FunctionHandle function, int attribute, int value) {
  SLIM_ENTER(cuFuncSetAttribute);
  if (attribute == kDynamicSharedOf) {
    if (value > kMostSharedBytes) return kInvalidValue;
    function->shared = value;
  } else if (attribute == kLargeClusters) {
    function->large_clusters = value != 0;
  } else {
    return kInvalidValue;
  }
  return 0;
}

Result cuOccupancyMaxActiveClusters(int* count, FunctionHandle function,
                                    const LaunchConfig* config) {
  SLIM_ENTER(cuOccupancyMaxActiveClusters);
  const unsigned int blocks = attribute_of(*config).cluster_size[0];
  if (blocks > kPortable && !function->large_clusters) return kInvalidCluster;
  *count = kMultiprocessorCount / static_cast<int>(blocks);
  return 0;
}

Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int* count, FunctionHandle, int, size_t) {
  SLIM_ENTER(cuOccupancyMaxActiveBlocksPerMultiprocessor);
  *count = 1;
  return 0;
}

Result cuLaunchKernelEx(const LaunchConfig* config, FunctionHandle function, void**, void** extra) {
  return launch("cuLaunchKernelEx", *config, function, extra);
}

Result cuLaunchKernel(FunctionHandle function, unsigned int grid_x, unsigned int, unsigned int,
                      unsigned int block_x, unsigned int, unsigned int, unsigned int shared,
                      StreamHandle stream, void**, void** extra) {
  return launch("cuLaunchKernel", {{grid_x, 1, 1}, {block_x, 1, 1}, shared, stream, nullptr, 0},
                function, extra);
}

}  // namespace slim::cuda::emulated
