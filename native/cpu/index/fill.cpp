// Kernels whose result no operand decides: constant, constant_list, iota, extent.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "cpu/check.h"
#include "cpu/index/row_formula.h"
#include "cpu/kernel_set.h"
#include "cpu/split.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

template <class T, class Number>
void append(std::vector<std::byte>* bytes, Number number) {
  const T value = static_cast<T>(number);
  const auto* src = reinterpret_cast<const std::byte*>(&value);
  bytes->insert(bytes->end(), src, src + sizeof(T));
}

// A number of the text as the bytes of an element.
template <class Number>
void append_as(std::vector<std::byte>* bytes, DType dtype, Number number) {
  switch (dtype) {
    case DType::f32:
      return append<float>(bytes, number);
    case DType::f64:
      return append<double>(bytes, number);
    case DType::i32:
      return append<int32_t>(bytes, number);
    case DType::i64:
      return append<int64_t>(bytes, number);
    case DType::u8:
      return append<uint8_t>(bytes, number);
    case DType::b8:
      return append<uint8_t>(bytes, number != Number{0});
    case DType::bf16:
    case DType::f16:
      break;  // of no constant
  }
}

template <class T>
class ConstantLaunch final : public Launch {
 public:
  ConstantLaunch(const Buffer& dst, const std::vector<std::byte>& value) : dst_(dst) {
    std::memcpy(&value_, value.data(), sizeof(T));
  }

  int64_t tasks(int64_t rows) const override { return split_.tasks(dst_.count(rows)); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    T* dst = dst_.in<T>(context);
    std::fill(dst + split_.first(task), dst + split_.last(task, dst_.count(context.rows)), value_);
  }

  Cost cost(int64_t rows) const override {
    return {0, static_cast<double>(dst_.count(rows)) * sizeof(T)};
  }

 private:
  Buffer dst_;
  T value_;
  Split split_ = Split::by_bytes(sizeof(T));
};

Prepared prepare_constant(const Binding& binding) {
  const Attribute& given = binding.node.attributes.at("value");
  const Buffer& dst = binding.results[0];
  std::vector<std::byte> value;
  if (const auto* integer = std::get_if<int64_t>(&given)) {
    append_as(&value, dst.dtype, *integer);
  } else if (const auto* number = std::get_if<double>(&given)) {
    append_as(&value, dst.dtype, *number);
  } else {
    append_as(&value, dst.dtype, int64_t{std::get<bool>(given)});
  }
  switch (value.size()) {
    case 1:
      return std::make_unique<ConstantLaunch<uint8_t>>(dst, value);
    case 4:
      return std::make_unique<ConstantLaunch<uint32_t>>(dst, value);
    default:
      return std::make_unique<ConstantLaunch<uint64_t>>(dst, value);
  }
}

class ConstantListLaunch final : public Launch {
 public:
  ConstantListLaunch(const Buffer& dst, std::vector<std::byte> bytes)
      : dst_(dst), bytes_(std::move(bytes)) {}

  int64_t tasks(int64_t) const override { return 1; }

  void run(const Context& context, int64_t, std::byte*) const noexcept override {
    if (!bytes_.empty()) std::memcpy(dst_.in<std::byte>(context), bytes_.data(), bytes_.size());
  }

  Cost cost(int64_t) const override { return {0, 2.0 * static_cast<double>(bytes_.size())}; }

 private:
  Buffer dst_;
  std::vector<std::byte> bytes_;
};

Prepared prepare_constant_list(const Binding& binding) {
  const Attribute& given = binding.node.attributes.at("values");
  const Buffer& dst = binding.results[0];
  std::vector<std::byte> bytes;
  if (const auto* integers = std::get_if<std::vector<int64_t>>(&given)) {
    for (const int64_t value : *integers) append_as(&bytes, dst.dtype, value);
  } else {
    for (const double value : std::get<std::vector<double>>(given)) {
      append_as(&bytes, dst.dtype, value);
    }
  }
  SLIM_ASSERT(dst.count(0) * size_of(dst.dtype) == static_cast<int64_t>(bytes.size()));
  return std::make_unique<ConstantListLaunch>(dst, std::move(bytes));
}

// The index along the leading axis, the same for all of a row.
template <class T>
class IotaLaunch final : public Launch {
 public:
  explicit IotaLaunch(const Buffer& dst)
      : dst_(dst), inner_(dst.inner()), split_(Split::by_bytes(inner_ * sizeof(T))) {}

  int64_t tasks(int64_t rows) const override { return split_.tasks(dst_.leading(rows)); }

  void run(const Context& context, int64_t task, std::byte*) const noexcept override {
    const int64_t first = split_.first(task), last = split_.last(task, dst_.leading(context.rows));
    T* dst = dst_.in<T>(context);
    if (inner_ == 1) {
      std::iota(dst + first, dst + last, static_cast<T>(first));
      return;
    }
    for (int64_t i = first; i < last; ++i) {
      std::fill_n(dst + i * inner_, inner_, static_cast<T>(i));
    }
  }

  Cost cost(int64_t rows) const override {
    return {0, static_cast<double>(dst_.count(rows)) * sizeof(T)};
  }

 private:
  Buffer dst_;
  int64_t inner_;
  Split split_;
};

Prepared prepare_iota(const Binding& binding) {
  const Buffer& dst = binding.results[0];
  if (dst.dtype == DType::i32) return std::make_unique<IotaLaunch<int32_t>>(dst);
  return std::make_unique<IotaLaunch<int64_t>>(dst);
}

template <class T>
class ExtentLaunch final : public Launch {
 public:
  ExtentLaunch(const Buffer& dst, RowFormula formula) : dst_(dst), formula_(std::move(formula)) {}

  int64_t tasks(int64_t) const override { return 1; }

  void run(const Context& context, int64_t, std::byte*) const noexcept override {
    *dst_.in<T>(context) = static_cast<T>(formula_(context.rows));
  }

  Cost cost(int64_t) const override { return {0, sizeof(T)}; }

 private:
  Buffer dst_;
  RowFormula formula_;
};

Prepared prepare_extent(const Binding& binding) {
  const Buffer& dst = binding.results[0];
  const auto& text = std::get<std::string>(binding.node.attributes.at("dim"));
  RowFormula formula;
  try {
    formula = RowFormula(text);
  } catch (const std::invalid_argument& error) {
    binding.refuse(error.what());
  }
  if (dst.dtype == DType::f32) return std::make_unique<ExtentLaunch<float>>(dst, formula);
  return std::make_unique<ExtentLaunch<double>>(dst, formula);
}

}  // namespace

SLIM_KERNEL(constant, prepare_constant);
SLIM_KERNEL(constant_list, prepare_constant_list);
SLIM_KERNEL(iota, prepare_iota);
SLIM_KERNEL(extent, prepare_extent);

}  // namespace slim::SLIM_ISA_NAMESPACE
