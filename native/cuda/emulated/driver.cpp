// The host as a platform: kernels are compiled by its compiler, and run once they are waited for.
#include "cuda/driver.h"

#include <functional>
#include <optional>
#include <set>
#include <utility>

#include "cuda/emulated/libraries.h"
#include "cuda/emulated/machine.h"
#include "cuda/nvidia/compiler.h"
#include "cuda/nvidia/dnn.h"
#include "cuda/nvidia/platform.h"

namespace slim::cuda {
namespace {

class HostCompiler final : public nvidia::KernelCompiler {
 public:
  explicit HostCompiler(bool nvrtc) {
    if (nvrtc) nvrtc_.emplace(9, 0, 13000);
  }
  std::string about() const override { return "kernels run on the host"; }
  std::string identity() const override { return ""; }
  std::string compile(const std::string& source) const override {
    if (nvrtc_) nvrtc_->compile(source);
    return compile_on_host(source);
  }

 private:
  std::optional<nvidia::Compiler> nvrtc_;
};

// What a library does when it is first asked for something it may not do in a recording.
template <class What>
void require_warm(Stream& stream, std::set<What>& known, const What& what) {
  const std::lock_guard lock(emulated_lock());
  nvidia::StreamOf& on = *nvidia::handle_of(stream);
  if (known.insert(what).second && on.recording) {
    on.gpu.fail("a library is called first while a stream is recorded");
  }
}

// What a library does when it runs there.
void enqueue(Stream& stream, std::function<std::string(EmulatedGpu&)> work) {
  if (!nvidia::takes_work(stream)) return;
  const std::lock_guard lock(emulated_lock());
  nvidia::StreamOf& on = *nvidia::handle_of(stream);
  put_work(on, [&gpu = on.gpu, work = std::move(work)] {
    if (const std::string why = work(gpu); !why.empty()) gpu.fail(why);
  });
}

class HostProducts final : public Products {
 public:
  explicit HostProducts(bool sixteen_bits) : sixteen_bits_(sixteen_bits) {}

  std::string version() const override { return "products on the host"; }
  std::shared_ptr<const Product> choose(const Multiplication& what) override {
    if (!sixteen_bits_ && is_sixteen_bits(what.dtype)) return nullptr;
    return std::make_shared<HostProduct>(what);
  }
  // All of what a library may touch must be there.
  void multiply(Stream& stream, const Product& product, const std::byte* a, const std::byte* b,
                std::byte* result, std::byte* workspace) noexcept override {
    const auto& host = static_cast<const HostProduct&>(product);
    require_warm(stream, multiplied_, host.what);
    enqueue(stream, [host, a, b, result, workspace](EmulatedGpu& gpu) -> std::string {
      if (!host.is_within(gpu.memory, a, b, result, workspace)) {
        return "a product goes beyond its piece of memory";
      }
      if (!host.is_aligned(a, b, result, workspace)) {
        return "an array of a product is less aligned than was promised";
      }
      host.multiply(a, b, result, workspace);
      return "";
    });
  }

 private:
  const bool sixteen_bits_;
  std::set<Multiplication> multiplied_;  // once at least
};

class HostConvolutions final : public Convolutions {
 public:
  explicit HostConvolutions(std::unique_ptr<nvidia::Dnn> dnn) : dnn_(std::move(dnn)) {}

  std::string description() const override { return dnn_->description(); }
  std::shared_ptr<const ConvolutionPlan> choose(const ConvolutionShape& shape) override {
    return dnn_->choose(shape);
  }
  void convolve(Stream& stream, const ConvolutionPlan& plan,
                const ConvolutionArrays& arrays) noexcept override {
    require_warm(stream, convolved_, plan.shape);
    enqueue(stream, [this, &plan, arrays](EmulatedGpu& gpu) -> std::string {
      if (!is_within(gpu.memory, plan, arrays)) {
        return "a convolution goes beyond its piece of memory";
      }
      return dnn_->run(nullptr, plan, arrays);
    });
  }

 private:
  const std::unique_ptr<nvidia::Dnn> dnn_;
  std::set<ConvolutionShape> convolved_;
};

class Host final : public nvidia::Platform {
 public:
  Host(bool nvrtc, std::string dnn, bool sixteen_bits)
      : nvrtc_(nvrtc), dnn_(std::move(dnn)), sixteen_bits_(sixteen_bits) {}

  const nvidia::DriverApi& api() const override { return emulated_api(); }
  std::unique_ptr<nvidia::KernelCompiler> compiler(const nvidia::Gpu&) const override {
    return std::make_unique<HostCompiler>(nvrtc_);
  }
  // What is beyond a piece, or was there before, is to be seen.
  bool keeps_memory() const override { return false; }
  std::unique_ptr<Products> products(const nvidia::Gpu&) const override {
    return std::make_unique<HostProducts>(sixteen_bits_);
  }
  std::unique_ptr<Convolutions> convolutions(const nvidia::Gpu&, std::string& why) const override {
    auto dnn = dnn_.empty() ? nullptr : nvidia::Dnn::open({dnn_}, why);
    return dnn ? std::make_unique<HostConvolutions>(std::move(dnn)) : nullptr;
  }

 private:
  const bool nvrtc_;
  const std::string dnn_;
  const bool sixteen_bits_;
};

}  // namespace

std::unique_ptr<Driver> open_emulated(bool nvrtc, int64_t memory, const std::string& dnn,
                                      bool sixteen_bits) {
  const int number = [&] {
    const std::lock_guard lock(emulated_lock());
    return add_emulated_gpu(memory);
  }();
  return nvidia::open_driver(std::make_unique<Host>(nvrtc, dnn, sixteen_bits), number);
}

}  // namespace slim::cuda
