// A launch of the CUDA half: the text of a kernel, what it is given, and its grid.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cuda/driver.h"
#include "kernels/kernel.h"
#include "kernels/trace/expression.h"  // c_type, for all texts

namespace slim::cuda {

// What an argument points to of a value: one that is not dense has an array for each.
enum class Array : uint8_t {
  dense,
  values,
  columns,
  offsets,
  ids,
  count,
  pairs,
  other_pairs,
  row_of
};

struct Argument {
  Argument() = default;
  Argument(const Buffer& buffer, Array array = Array::dense)  // NOLINT: most are dense
      : buffer(buffer), array(array) {}

  void* in(const Context& context) const;

  Buffer buffer;
  Array array = Array::dense;
};

// What one kernel is, before it is compiled with all others of its plan:
//
//   extern "C" __global__ void kN(const Args<arguments> a) { body }
//
// where a.facts->rows, first_row, step and seed are those of the call (kernels/facts.cuh), and
// a.in<float>(i) is the i-th of the arguments. Shapes are known: they stand in the text as numbers,
// at capacity where they go with the rows, which a kernel reads from the facts.
struct KernelText {
  std::vector<std::string> headers;             // of cuda/kernels, without .cuh
  std::map<std::string, std::string> formulas;  // of tapes: functions by name
  std::string functions;  // printed before; here and in the body NAME is the kernel's name
  std::string body;
  std::vector<Argument> arguments;
  Grid grid;  // for all rows of the capacity
  Cost cost;  // likewise
};

inline constexpr size_t kMostArguments = 511;  // with the facts 4 KB, as every driver takes them

class KernelLaunch final : public Launch {
 public:
  explicit KernelLaunch(KernelText text) : text_(std::move(text)) {}

  const KernelText& text() const { return text_; }
  // Its kernel in the module, which it keeps.
  void link(Driver& driver, std::shared_ptr<Module> module, const std::string& name);

  int64_t tasks(int64_t) const override { return 1; }
  Cost cost(int64_t) const override { return text_.cost; }
  // Puts it on the stream of the context's call.
  void run(const Context& context, int64_t task, std::byte* local) const noexcept override;

 private:
  KernelText text_;
  Driver* driver_ = nullptr;
  std::shared_ptr<Module> module_;
  std::unique_ptr<Kernel> kernel_;
};

// A launch that is no kernel of ours: a library's.
class LibraryLaunch : public Launch {
 public:
  int64_t tasks(int64_t) const override { return 1; }
  // Once before it is recorded: what a library does when it is first called it may not do while a
  // stream is.
  virtual void warm(const Context&) const noexcept {}

 protected:
  // By a run where nobody waits for the result: where a step writes before it reads.
  void warm_by(const Buffer& result, const Context& context) const noexcept {
    if (result.base == Base::scratch || result.base == Base::gradient) run(context, 0, nullptr);
  }
};

// What the file of a kernel family registers. `prepare` refuses, in the binding's name, what it
// has no kernel for.
using Prepare = std::vector<KernelText> (*)(const Binding&);
using Workspace = std::vector<int64_t> (*)(const Binding&);

// What of it a library may do (library.h).
struct LibraryTask;
using Library = LibraryTask (*)(const Binding&);

struct Row {
  Prepare prepare;
  Workspace workspace = nullptr;
  Library library = nullptr;
};

// Of an op; null: there is no kernel.
const Row* find_row(const std::string& op);

struct Register {
  Register(const char* op, Prepare prepare, Workspace workspace = nullptr,
           Library library = nullptr);
};

// SLIM_CUDA_KERNEL(op, prepare), with its workspace and what a library does behind it.
#define SLIM_CUDA_KERNEL(op_name, ...) \
  static const ::slim::cuda::Register slim_cuda_##op_name(#op_name, __VA_ARGS__)

// The source of some kernels as one module: k0, k1 … in their order.
std::string module_text(const std::vector<const KernelText*>& texts);
// Its pieces. What stands before the kernels: headers, of which `further` are no kernel's own, and
// the functions that the texts call; the type of a kernel's struct; what is between its braces.
std::string head_of(const std::vector<const KernelText*>& texts,
                    const std::vector<std::string>& further);
std::string arguments_of(const KernelText& text);
std::string body_of(const KernelText& text, size_t i);

// Words for kernels' texts.
// "a.in<const float>(2)": the pointer to an argument.
std::string pointer(size_t argument, DType dtype, bool writes = false);

}  // namespace slim::cuda
