// Structure: concat, slice and pad along an axis, transpose, reshape.
#include "cuda/strides.h"

namespace slim::cuda {
namespace {

std::string place(KernelText& text, const Buffer& buffer, bool writes) {
  text.arguments.push_back(buffer);
  return pointer(text.arguments.size() - 1, word_of(buffer.dtype), writes);
}

// Along `axis` every outer index of dst has one run of each part.
class Parts {
 public:
  Parts(const Binding& binding, const Buffer& dst)
      : dst_(dst), axis_(static_cast<size_t>(binding.integer("axis", 0))) {
    text_.headers = {"move"};
    to_ = place(text_, dst, true);
    rows_ = count_of(dst, 0, axis_).text();
  }

  // A run of src from its `first`-th element on, as long as that of `like`.
  void copy(const Buffer& src, const Buffer& like, int64_t first = 0) {
    const Count run = run_of(like);
    if (run.capacity > 0 && !lies_at(src, first)) {
      add(run, "slim::copy_runs(" + at() + ", " + place(text_, src, false) + " + " + number(first) +
                   ", " + row_of(src) + ", " + rows_ + ", " + run.text() + ");\n");
    }
    advance(run);
  }
  void zero(int64_t elements) {
    const Count run{elements, 0};
    if (elements > 0) {
      add(run, "slim::clear_runs(" + at() + ", " + rows_ + ", " + run.text() + ");\n");
    }
    advance(run);
  }

  std::vector<KernelText> finish() {
    if (text_.body.empty()) return {};  // all lies there already
    text_.grid = grid_over(most_ * count_of(dst_, 0, axis_).capacity);
    const auto count = static_cast<double>(count_of(dst_).capacity);
    text_.cost = {0, 2 * count * static_cast<double>(size_of(dst_.dtype))};
    return {text_};
  }

  Count run_of(const Buffer& buffer) const { return count_of(buffer, axis_, buffer.dims.size()); }
  int64_t unit() const {  // elements under one index of the axis
    return count_of(dst_, axis_ + 1, dst_.dims.size()).capacity;
  }

 private:
  std::string row_of(const Buffer& buffer) const {
    return buffer.row_stride > 0 ? number(buffer.row_stride) : run_of(buffer).text();
  }
  std::string at() const { return to_ + " + " + column_ + ", " + row_of(dst_); }
  bool lies_at(const Buffer& src, int64_t first) const {
    const int64_t size = size_of(dst_.dtype);
    return src.base == dst_.base && src.offset + first * size == dst_.offset + before_ * size;
  }
  void add(const Count& run, const std::string& line) {
    most_ = std::max(most_, run.capacity);
    text_.body += "  " + line;
  }
  void advance(const Count& run) {
    before_ += run.capacity;
    column_ += " + " + run.text();
  }

  const Buffer& dst_;
  size_t axis_;
  KernelText text_;
  std::string to_, rows_, column_ = "0";
  int64_t before_ = 0, most_ = 1;
};

std::vector<KernelText> prepare_concat(const Binding& binding) {
  Parts parts(binding, binding.results[0]);
  for (const Buffer& src : binding.operands) parts.copy(src, src);
  return parts.finish();
}

std::vector<KernelText> prepare_slice(const Binding& binding) {
  const Buffer &src = binding.operands[0], &dst = binding.results[0];
  const int64_t start = binding.integer("start", 0), stop = binding.integer("stop", 0);
  if (stop > src.dims[static_cast<size_t>(binding.integer("axis", 0))]) {
    binding.refuse("takes elements up to " + number(stop) + ", which the operand does not have");
  }
  Parts parts(binding, dst);
  parts.copy(src, dst, start * parts.unit());
  return parts.finish();
}

std::vector<KernelText> prepare_pad(const Binding& binding) {
  Parts parts(binding, binding.results[0]);
  parts.zero(binding.integer("before", 0) * parts.unit());
  parts.copy(binding.operands[0], binding.operands[0]);
  parts.zero(binding.integer("after", 0) * parts.unit());
  return parts.finish();
}

std::vector<KernelText> prepare_transpose(const Binding& binding) {
  const Buffer &src = binding.operands[0], &dst = binding.results[0];
  const std::vector<int64_t> strides = strides_of(src), perm = binding.integers("perm");
  std::vector<Axis> axes;
  for (size_t i = 0; i < perm.size(); ++i) {
    axes.push_back({count_of(dst, i, i + 1), strides[static_cast<size_t>(perm[i])]});
  }
  KernelText text;
  text.headers = {"move"};
  text.functions = place_struct("Place_NAME", merged(axes));
  const std::string to = place(text, dst, true), from = place(text, src, false);
  text.body = "  " + call("slim::copy_from<Place_NAME>", {to, from, count_of(dst).text()}) + ";\n";
  text.grid = grid_over(count_of(dst).capacity);
  text.cost.bytes = 2.0 * static_cast<double>(count_of(dst).capacity * size_of(dst.dtype));
  return {text};
}

std::vector<KernelText> prepare_reshape(const Binding& binding) {
  const Buffer &src = binding.operands[0], &dst = binding.results[0];
  if (src.base == dst.base && src.offset == dst.offset) return {};
  KernelText text;
  text.headers = {"move"};
  const std::string to = place(text, dst, true), from = place(text, src, false);
  const std::string count = count_of(dst).text();
  text.body = "  " + call("slim::copy_runs", {to, count, from, count, "1", count}) + ";\n";
  text.grid = grid_over(count_of(dst).capacity);
  return {text};
}

}  // namespace

SLIM_CUDA_KERNEL(reshape, prepare_reshape);
SLIM_CUDA_KERNEL(concat, prepare_concat);
SLIM_CUDA_KERNEL(slice, prepare_slice);
SLIM_CUDA_KERNEL(pad, prepare_pad);
SLIM_CUDA_KERNEL(transpose, prepare_transpose);

}  // namespace slim::cuda
