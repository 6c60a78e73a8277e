// cuDNN as the convolutions of a GPU.
#include "cuda/nvidia/convolutions.h"

#include "cuda/nvidia/dnn.h"
#include "cuda/nvidia/platform.h"

namespace slim::cuda::nvidia {
namespace {

class DnnConvolutions final : public Convolutions {
 public:
  DnnConvolutions(const Gpu& gpu, std::unique_ptr<Dnn> dnn) : gpu_(gpu), dnn_(std::move(dnn)) {}
  ~DnnConvolutions() override {
    const Gpu::Inside inside(gpu_);
    dnn_.reset();
  }

  std::string description() const override { return dnn_->description(); }
  std::shared_ptr<const ConvolutionPlan> choose(const ConvolutionShape& shape) override {
    const Gpu::Inside inside(gpu_);
    return dnn_->choose(shape);
  }
  void convolve(Stream& stream, const ConvolutionPlan& plan,
                const ConvolutionArrays& arrays) noexcept override {
    if (!takes_work(stream)) return;
    const Gpu::Inside inside(gpu_);
    const std::string why = dnn_->run(handle_of(stream), plan, arrays);
    if (!why.empty()) refuse(stream, why + " (SLIM_CUDA_DNN=0 does without it)");
  }

 private:
  const Gpu& gpu_;
  std::unique_ptr<Dnn> dnn_;
};

}  // namespace

std::unique_ptr<Convolutions> open_convolutions(const Gpu& gpu, std::string& why) {
  const Gpu::Inside inside(gpu);
  std::unique_ptr<Dnn> dnn = Dnn::open({"libcudnn.so.9"}, why);
  if (dnn == nullptr) return nullptr;
  return std::make_unique<DnnConvolutions>(gpu, std::move(dnn));
}

}  // namespace slim::cuda::nvidia
