// Whether a step is one kernel, and how many blocks it has.
#include "cuda/whole.h"

#include <algorithm>
#include <cstdlib>

#include "cuda/shapes.h"

namespace slim::cuda {
namespace {

// What a launch costs beyond its work is some two microseconds; where the work of a step is more
// than a few times that of all its launches, kernels of their own have more blocks to do it.
constexpr double kMostFlops = 1e9;
constexpr double kClusterFlops = 20e6;  // so little is done sooner by neighbours, which meet faster
constexpr int64_t kCluster = 16;
constexpr size_t kMostPointers = 500;  // of 4 KB

}  // namespace

std::unique_ptr<WholeStep> WholeStep::make(Driver& driver, Stream& stream,
                                           const std::vector<WholePart>& parts,
                                           const void* state) {
  const char* wish = std::getenv("SLIM_CUDA_WHOLE");  // for measurements: 0, or a number of blocks
  if (wish != nullptr && wish == std::string("0")) return nullptr;
  size_t pointers = 3;
  double flops = 0;
  int64_t most = 1;
  std::vector<const KernelText*> texts;
  std::vector<bool> waits;
  for (const WholePart& part : parts) {
    if (part.text->grid.threads != kThreads || part.text->grid.shared != 0) return nullptr;
    pointers += 1 + std::max<size_t>(part.pointers.size(), 1);
    flops += part.text->cost.flops;
    most = std::max(most, part.text->grid.blocks);
    texts.push_back(part.text);
    waits.push_back(part.waits);
  }
  if (pointers > kMostPointers || flops > kMostFlops) return nullptr;
  std::unique_ptr<WholeStep> step(new WholeStep(driver));
  const Properties& gpu = driver.properties();
  const bool cluster = flops < kClusterFlops && gpu.major >= 9;
  const int64_t all = std::min<int64_t>(cluster ? kCluster : INT64_MAX, gpu.together);
  step->grid_ = {std::min(most, all), kThreads};
  if (wish != nullptr) step->grid_.blocks = std::clamp<int64_t>(std::atoll(wish), 1, all);
  step->grid_.meet = step->grid_.blocks == 1 ? Grid::Meet::never
                     : cluster              ? Grid::Meet::cluster
                                            : Grid::Meet::anywhere;
  step->module_ = driver.compile(whole_text(texts, waits, step->grid_));
  step->kernel_ = step->module_->kernel("whole", step->grid_);
  step->meeting_ = Piece<uint64_t>(driver, 1);
  driver.fill(stream, reinterpret_cast<std::byte*>(step->meeting_.data()), 0, sizeof(uint64_t));
  step->arguments_ = {nullptr, step->meeting_.data(), state};
  for (const WholePart& part : parts) {
    step->arguments_.push_back(part.facts);
    step->arguments_.insert(step->arguments_.end(), part.pointers.begin(), part.pointers.end());
    if (part.pointers.empty()) step->arguments_.push_back(nullptr);
  }
  return step;
}

void WholeStep::run(Stream& stream, int64_t steps) noexcept {
  static_assert(sizeof(int64_t) == sizeof(const void*));
  std::memcpy(arguments_.data(), &steps, sizeof steps);
  driver_.launch(stream, *kernel_, grid_, arguments_.data(), arguments_.size() * sizeof(void*));
}

}  // namespace slim::cuda
