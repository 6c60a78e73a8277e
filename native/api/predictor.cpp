// Binds the short roads of predict: of one program, and of several on the same rows.
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "api/api.h"
#include "api/arrays.h"
#include "api/constructor.h"
#include "api/lock.h"
#include "runtime/call/predictor_group.h"

namespace slim {
namespace {

// As py::array, but without its look at the type.
py::object new_array(const py::dtype& type, size_t rank, const py::ssize_t* shape) {
  const auto& numpy = py::detail::npy_api::get();
  // PyArray_NewFromDescr takes over a reference to the type.
  PyObject* made = numpy.PyArray_NewFromDescr_(
      numpy.PyArray_Type_, py::object(type).release().ptr(), static_cast<int>(rank),
      reinterpret_cast<const Py_intptr_t*>(shape), nullptr, nullptr, 0, nullptr);
  if (!made) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(made);
}

std::byte* data_of(const py::object& array) {
  return reinterpret_cast<std::byte*>(py::detail::array_proxy(array.ptr())->data);
}

using ModelPointer = std::shared_ptr<const Model>;

// predictor(*sources) for exact ndarrays of plain numbers, C order, of the right shapes: the
// result, or None where one is something else or not finite, and the long road must say why.
class BoundPredictor {
 public:
  BoundPredictor(const ModelPointer& model, const std::string& function,
                 const std::vector<std::string>& sources, py::object params, py::object state,
                 const py::dict& hypers, int threads, std::shared_ptr<PackedArrays> packed)
      : params_(std::move(params)),
        state_(std::move(state)),
        predictor_(std::make_shared<const Predictor>(
            model, function, sources,
            arrays_of(*model, params_, state_, py::none(), py::none(), false),
            hypers_of(*model, hypers), threads, std::move(packed))),
        result_type_(make_array(predictor_->dtype(), {0}).dtype()) {
    require_hypers(*model, function, hypers);
    shape_.push_back(0);
    shape_.insert(shape_.end(), predictor_->row_shape().begin(), predictor_->row_shape().end());
  }

  py::object call(const py::handle& x) const {
    PyObject* only = x.ptr();
    return run(&only, 1);
  }

  py::object call_several(const py::args& arrays) const {
    PyObject* given[Predictor::kMostSources];
    const size_t count = arrays.size();
    if (count > Predictor::kMostSources) return py::none();
    for (size_t i = 0; i < count; ++i) given[i] = PyTuple_GET_ITEM(arrays.ptr(), i);
    return run(given, count);
  }

  const std::shared_ptr<const Predictor>& predictor() const { return predictor_; }

 private:
  py::object run(PyObject* const* arrays, size_t count) const {
    if (count != predictor_->sources()) return py::none();
    Predictor::Given given[Predictor::kMostSources];
    int64_t rows = -1;
    for (size_t i = 0; i < count; ++i) {
      const std::vector<int64_t>* row = predictor_->row_shape(i);
      if (row != nullptr && !take(arrays[i], *row, given[i], rows)) return py::none();
    }
    if (rows <= 0) return py::none();
    py::ssize_t shape[8];
    std::copy(shape_.begin(), shape_.end(), shape);
    shape[0] = rows;
    const py::object result = new_array(result_type_, shape_.size(), shape);
    auto* data = data_of(result);
    bool finite = false;
    if (predictor_->brief(rows)) {
      finite = predictor_->run(given, rows, data, {});
    } else {
      try {
        const Unlocked unlocked;
        finite = predictor_->run(given, rows, data, signal_came);
      } catch (const Interrupted&) {
        throw py::error_already_set();
      }
    }
    return finite ? result : py::none();
  }

  // Whether the array is what a source can be, with as many rows as the one before.
  static bool take(PyObject* x, const std::vector<int64_t>& row, Predictor::Given& given,
                   int64_t& rows) {
    const auto& numpy = py::detail::npy_api::get();
    if (Py_TYPE(x) != numpy.PyArray_Type_) return false;
    const auto* array = py::detail::array_proxy(x);
    if (static_cast<size_t>(array->nd) != row.size() + 1 ||
        !(array->flags & py::detail::npy_api::NPY_ARRAY_C_CONTIGUOUS_) ||
        !std::equal(row.begin(), row.end(), array->dimensions + 1)) {
      return false;
    }
    const auto* type = py::detail::array_descriptor_proxy(array->descr);
    if (type->byteorder == '>') return false;
    const std::optional<SourceType> known = plain_type(type->type_num);
    if (!known || (rows >= 0 && array->dimensions[0] != rows)) return false;
    rows = array->dimensions[0];
    given = {reinterpret_cast<const std::byte*>(array->data), *known};
    return true;
  }

  static std::optional<SourceType> plain_type(int number) {
    using Numbers = py::detail::npy_api;
    switch (number) {
      case Numbers::NPY_FLOAT_:
        return SourceType::f32;
      case Numbers::NPY_DOUBLE_:
        return SourceType::f64;
      case Numbers::NPY_UBYTE_:
        return SourceType::u8;
      case Numbers::NPY_INT_:
        return SourceType::i32;
      case Numbers::NPY_LONG_:
        if (sizeof(long) != 8) return std::nullopt;
        return SourceType::i64;
      default:
        return std::nullopt;
    }
  }

  py::object params_;
  py::object state_;
  std::shared_ptr<const Predictor> predictor_;
  py::dtype result_type_;
  std::vector<py::ssize_t> shape_;
};

// group(rows) of float32 in C order: what each predictor makes of its columns of them, as arrays
// [predictors, rows, ...]; group.mean(rows, units, shares): their mean, [rows, ...]. None where a
// value is not finite.
class BoundGroup {
 public:
  BoundGroup(const py::list& predictors,
             const std::vector<std::vector<std::vector<int64_t>>>& columns, int threads)
      : bound_(predictors),
        group_(members_of(predictors, columns), threads),
        result_type_(make_array(group_.dtype(), {0}).dtype()) {
    shape_ = {static_cast<py::ssize_t>(group_.size()), 0};
    shape_.insert(shape_.end(), group_.row_shape().begin(), group_.row_shape().end());
  }

  using Rows = py::array_t<float, py::array::c_style>;
  using Units = py::array_t<double, py::array::c_style>;

  int64_t numbers() const { return group_.row_numbers(); }  // of a predictor for each row

  py::object call(const Rows& rows) const {
    check(rows);
    std::vector<py::ssize_t> shape = shape_;
    shape[1] = rows.shape(0);
    const py::object result = new_array(result_type_, shape.size(), shape.data());
    return run(rows, data_of(result)) ? result : py::none();
  }

  // Each predictor's numbers are multiplied by its first row of units, and the second is added.
  // Shares add up to 1; without them all are alike.
  py::object mean(const Rows& rows, const std::optional<Units>& units,
                  const std::optional<Units>& shares) const {
    check(rows);
    if (group_.dtype() != DType::f64) throw py::value_error("a mean is of float64 numbers");
    const auto members = static_cast<int64_t>(group_.size());
    const int64_t width = group_.row_numbers(), numbers = rows.shape(0) * width;
    if (units && (units->ndim() != 3 || units->shape(0) != members || units->shape(1) != 2 ||
                  units->shape(2) != width)) {
      throw py::value_error("units of a mean are a factor and a summand for each number");
    }
    if (shares && (shares->ndim() != 1 || shares->shape(0) != members)) {
      throw py::value_error("a mean takes a share for each predictor");
    }
    std::vector<double> values(static_cast<size_t>(members * numbers));
    const bool finite = run(rows, reinterpret_cast<std::byte*>(values.data()));
    if (!finite) return py::none();
    std::vector<py::ssize_t> shape(shape_.begin() + 1, shape_.end());
    shape[0] = rows.shape(0);
    const py::object result = new_array(result_type_, shape.size(), shape.data());
    auto* to = reinterpret_cast<double*>(data_of(result));
    for (int64_t i = 0; i < numbers; ++i) {
      double total = 0;
      for (int64_t member = 0; member < members; ++member) {
        double value = values[static_cast<size_t>(member * numbers + i)];
        if (units) {
          const double* own = units->data() + member * 2 * width + i % width;
          value = value * own[0] + own[width];
        }
        if (shares) value *= shares->data()[member];
        total = member == 0 ? value : total + value;
      }
      to[i] = shares ? total : total / static_cast<double>(members);
    }
    return result;
  }

 private:
  void check(const Rows& rows) const {
    if (rows.ndim() != 2 || rows.shape(1) < group_.width()) {
      throw py::value_error("a group needs rows of " + std::to_string(group_.width()) +
                            " columns or more");
    }
  }

  bool run(const Rows& rows, std::byte* to) const {
    const int64_t count = rows.shape(0);
    if (group_.brief(count)) return group_.run(rows.data(), count, rows.shape(1), to);
    const Unlocked unlocked;
    return group_.run(rows.data(), count, rows.shape(1), to);
  }

  static std::vector<PredictorGroup::Member> members_of(
      const py::list& predictors, const std::vector<std::vector<std::vector<int64_t>>>& columns) {
    if (predictors.size() != columns.size()) {
      throw py::value_error("a group needs the columns of each of its predictors");
    }
    std::vector<PredictorGroup::Member> members;
    for (size_t i = 0; i < columns.size(); ++i) {
      members.push_back({predictors[i].cast<const BoundPredictor&>().predictor(), columns[i]});
    }
    return members;
  }

  py::list bound_;  // whose arrays are read
  PredictorGroup group_;
  py::dtype result_type_;
  std::vector<py::ssize_t> shape_;
};

}  // namespace

void bind_predictor(py::module_& module) {
  py::class_<BoundPredictor> predictor(module, "Predictor");
  def_constructor<const ModelPointer&, const std::string&, const std::vector<std::string>&,
                  py::object, py::object, const py::dict&, int, std::shared_ptr<PackedArrays>>(
      predictor);
  predictor.def("__call__", &BoundPredictor::call).def("__call__", &BoundPredictor::call_several);
  py::class_<BoundGroup> group(module, "PredictorGroup");
  def_constructor<const py::list&, const std::vector<std::vector<std::vector<int64_t>>>&, int>(
      group);
  group.def("__call__", &BoundGroup::call, py::arg("rows").noconvert());
  group.def_property_readonly("numbers", &BoundGroup::numbers);
  group.def("mean", &BoundGroup::mean, py::arg("rows").noconvert(), py::arg("units"),
            py::arg("shares"));
}

}  // namespace slim
