// Convolutions by a library of the driver's.
#pragma once

#include <compare>
#include <memory>
#include <string>
#include <vector>

#include "cuda/driver.h"
#include "ir/graph.h"

namespace slim::cuda {

// What is made of each element of a forward convolution's result, one step of what the one before
// gave: behind it in the library's own kernel.
struct PointwiseStep {
  enum class Kind : uint8_t { add, subtract, multiply, relu, round };

  Kind kind;
  DType dtype;     // of what it gives: of sixteen bits where it rounds to them
  bool is_result;  // others read it

  // A number of float32 for each output; all steps but `add`, `subtract`, `multiply` have none.
  bool reads() const { return kind <= Kind::multiply; }
  auto operator<=>(const PointwiseStep&) const = default;
};

// One of the three convolutions of x [images, axes…, channels] with filters [outputs, taps…,
// channels of a group], which give y [images, axes…, outputs]: dense, two axes at least. Its two
// operands are of one type, float32 or of sixteen bits; the result is float32.
struct ConvolutionShape {
  enum class Kind : uint8_t { forward, input_grad, filter_grad };

  Kind kind = Kind::forward;
  DType dtype = DType::f32;  // of the operands
  bool tf32 = false;         // operands may be rounded to it
  std::vector<int64_t> x, filters, y;
  std::vector<int64_t> strides, dilations, before, after;  // of each axis
  std::vector<PointwiseStep> behind;                       // none: y is the result

  auto operator<=>(const ConvolutionShape&) const = default;
  double flops() const;
  DType x_type() const { return kind == Kind::input_grad ? DType::f32 : dtype; }
  DType filters_type() const { return kind == Kind::filter_grad ? DType::f32 : dtype; }
  DType y_type() const { return kind == Kind::forward ? DType::f32 : dtype; }
};

// How one of them is computed.
class ConvolutionPlan {
 public:
  explicit ConvolutionPlan(ConvolutionShape shape) : shape(std::move(shape)) {}
  virtual ~ConvolutionPlan() = default;
  virtual int64_t workspace_bytes() const = 0;

  const ConvolutionShape shape;
};

// One of the three is the result; with steps behind it there is no y, but what each of them reads,
// and gives to others.
struct ConvolutionArrays {
  std::byte *x, *filters, *y, *workspace;
  std::vector<std::byte*> read, results;  // of those that do, in order
};

// Calls from any thread.
class Convolutions {
 public:
  virtual ~Convolutions() = default;
  // For people: "cuDNN 9.28.1", and what it was asked in vain.
  virtual std::string description() const = 0;
  // The same answer as often as it is asked; null: the library does not do it.
  virtual std::shared_ptr<const ConvolutionPlan> choose(const ConvolutionShape& shape) = 0;
  // In the order of the stream, which may be recorded.
  virtual void convolve(Stream& stream, const ConvolutionPlan& plan,
                        const ConvolutionArrays& arrays) noexcept = 0;
};

}  // namespace slim::cuda
