// Convolutions by cuDNN's graphs, whichever device they run on.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "cuda/convolutions.h"
#include "cuda/nvidia/cudnn.h"

namespace slim::cuda::nvidia {

class Dnn {
 public:
  // The first of the names that is found. Null where there is none that works; why, in words.
  static std::unique_ptr<Dnn> open(const std::vector<std::string>& names, std::string& why);
  ~Dnn();

  // Its version; where it refused shapes, how many, and why the last.
  std::string description() const;
  // The same answer as often as it is asked; null: it refuses the shape.
  std::shared_ptr<const ConvolutionPlan> choose(const ConvolutionShape& shape);
  // Puts it on the stream. What failed, in words; empty: nothing.
  std::string run(StreamHandle stream, const ConvolutionPlan& plan,
                  const ConvolutionArrays& arrays) noexcept;

 private:
  Dnn(const DnnApi& api, DnnHandle handle) : api_(api), handle_(handle) {}

  const DnnApi api_;
  DnnHandle handle_;
  mutable std::mutex mutex_;  // a handle has one stream at a time
  std::map<ConvolutionShape, std::shared_ptr<const ConvolutionPlan>> chosen_;
  int64_t asked_ = 0, refused_ = 0;
  std::string why_;
};

}  // namespace slim::cuda::nvidia
