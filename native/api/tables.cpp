// Binds what tables need of each row: views of its numbers, and flags of what is missing.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "api/api.h"
#include "api/constructor.h"
#include "api/lock.h"

namespace slim {
namespace {

namespace py = pybind11;

template <class T>
using Array = py::array_t<T, py::array::c_style | py::array::forcecast>;

// Beyond so many of its units a number is as far as it can be.
constexpr double kFar = 1e6;

// A number that ends smoothly at -3 and 3.
double clipped(double scaled) {
  const double near = std::min(std::max(scaled, -kFar), kFar);
  return near / std::sqrt(1.0 + near * near / 9.0);
}

struct Table {
  const std::byte* data;
  py::ssize_t rows;
  py::ssize_t strides[2];  // in bytes
};

struct To {
  std::byte* data;
  py::ssize_t strides[2];
};

// What is known of the columns that numbers are read from, as `Numbers` has it; of each the
// place among X's columns. Knots of column i stand from starts[i] to starts[i + 1].
class NumberViews {
 public:
  NumberViews(Array<int64_t> places, Array<double> median, Array<double> factor,
              Array<int64_t> starts, Array<double> at, Array<double> scores, Array<double> slopes,
              Array<int64_t> flagged, Array<float> flags)
      : places_(std::move(places)),
        median_(std::move(median)),
        factor_(std::move(factor)),
        starts_(std::move(starts)),
        at_(std::move(at)),
        scores_(std::move(scores)),
        slopes_(std::move(slopes)),
        flagged_(std::move(flagged)),
        flags_(std::move(flags)) {
    const py::ssize_t count = places_.size(), knots = at_.size();
    if (median_.size() != count || factor_.size() != count || starts_.size() != count + 1 ||
        scores_.size() != knots || slopes_.size() != knots ||
        flags_.size() != 2 * flagged_.size()) {
      throw py::value_error("numbers of tables: arrays do not fit each other");
    }
    constexpr int64_t kMost = INT64_MAX / 2;
    for (py::ssize_t i = 0; i < count; ++i) {
      if (places_.data()[i] < 0 || places_.data()[i] > kMost || starts_.data()[i] < 0 ||
          starts_.data()[i] >= starts_.data()[i + 1] || starts_.data()[i + 1] > knots) {
        throw py::value_error("numbers of tables: each column needs a place and knots");
      }
      width_ = std::max(width_, places_.data()[i] + 1);
    }
    for (py::ssize_t i = 0; i < flagged_.size(); ++i) {
      if (flagged_.data()[i] < 0 || flagged_.data()[i] > kMost) {
        throw py::value_error("numbers of tables: places are from 0");
      }
      width_ = std::max(width_, flagged_.data()[i] + 1);
    }
  }

  // Writes the columns of `out` from `robust`, from `normal` and from `flags` on; -1: not asked
  // for.
  void fill(const py::array& X, py::array_t<float>& out, py::ssize_t robust, py::ssize_t normal,
            py::ssize_t flags) const {
    if (X.ndim() != 2 || out.ndim() != 2 || X.shape(0) != out.shape(0) || X.shape(1) < width_ ||
        !out.writeable() || std::max({robust, normal}) + places_.size() > out.shape(1) ||
        flags + flagged_.size() > out.shape(1)) {
      throw py::value_error("numbers of tables: rows or columns do not fit");
    }
    const Table rows{
        static_cast<const std::byte*>(X.data()), X.shape(0), {X.strides(0), X.strides(1)}};
    const To to{reinterpret_cast<std::byte*>(out.mutable_data()), {out.strides(0), out.strides(1)}};
    const bool doubles = py::isinstance<py::array_t<double>>(X);
    if (!doubles && !py::isinstance<py::array_t<float>>(X)) {
      throw py::value_error("numbers of tables are float32 or float64");
    }
    std::optional<Unlocked> unlocked;
    if (rows.rows > kBrief) unlocked.emplace();
    doubles ? write<double>(rows, to, robust, normal, flags)
            : write<float>(rows, to, robust, normal, flags);
  }

  // Writes the places of a column's numbers among its knots, so many parts from one to the next;
  // behind them stand what is infinitely large, and small, and missing.
  void code(Array<double> column, py::array_t<uint16_t>& out, py::ssize_t number,
            int64_t parts) const {
    if (number < 0 || number >= places_.size() || parts < 1) {
      throw py::value_error("numbers of tables: there is no such number");
    }
    const double* at = at_.data() + starts_.data()[number];
    const int64_t knots = starts_.data()[number + 1] - starts_.data()[number];
    const bool fits = column.ndim() == 1 && out.ndim() == 1 && column.shape(0) == out.shape(0);
    if (!fits || !out.writeable() || (knots + 3) * parts > 65536) {
      throw py::value_error("numbers of tables: rows or knots do not fit");
    }
    auto* to = reinterpret_cast<std::byte*>(out.mutable_data());
    const double* from = column.data();
    const py::ssize_t rows = column.shape(0), stride = out.strides(0);
    const Unlocked unlocked;
    for (py::ssize_t row = 0; row < rows; ++row) {
      const double value = from[row];
      int64_t place = 0;
      if (std::isnan(value)) {
        place = (knots + 2) * parts;
      } else if (std::isinf(value)) {
        place = (knots + (value < 0 ? 1 : 0)) * parts;
      } else if (value >= at[knots - 1]) {
        place = (knots - 1) * parts;
      } else if (value > at[0]) {
        const int64_t knot = std::upper_bound(at, at + knots, value) - at - 1;
        // Halves, where no float64 holds the distance.
        const double part = std::isinf(at[knot + 1] - at[knot]) ? 0.5 : 1.0;
        const double way =
            (value * part - at[knot] * part) / (at[knot + 1] * part - at[knot] * part);
        place = knot * parts + std::llround(way * static_cast<double>(parts));
      }
      const auto code = static_cast<uint16_t>(place);
      std::memcpy(to + row * stride, &code, sizeof code);
    }
  }

 private:
  template <class T>
  void write(const Table& rows, const To& to, py::ssize_t robust, py::ssize_t normal,
             py::ssize_t flags) const {
    const auto put = [&](py::ssize_t row, py::ssize_t column, float value) {
      std::memcpy(to.data + row * to.strides[0] + column * to.strides[1], &value, sizeof value);
    };
    const auto get = [&](py::ssize_t row, py::ssize_t column) {
      T value;
      std::memcpy(&value, rows.data + row * rows.strides[0] + column * rows.strides[1],
                  sizeof value);
      return static_cast<double>(value);
    };
    // Some rows at a time, so that their part of `out` stays near while columns are searched.
    for (py::ssize_t begin = 0; begin < rows.rows; begin += kRows) {
      const py::ssize_t end = std::min(begin + kRows, rows.rows);
      for (py::ssize_t i = 0; i < places_.size(); ++i) {
        const double median = median_.data()[i], factor = factor_.data()[i];
        const double* at = at_.data() + starts_.data()[i];
        const double* scores = scores_.data() + starts_.data()[i];
        const double* slopes = slopes_.data() + starts_.data()[i];
        const double* last = at_.data() + starts_.data()[i + 1];
        for (py::ssize_t row = begin; row < end; ++row) {
          double value = get(row, places_.data()[i]);
          if (std::isnan(value)) value = median;
          if (robust >= 0) {
            put(row, robust + i, static_cast<float>(clipped((value - median) * factor)));
          }
          if (normal >= 0) {
            value = std::min(std::max(value, at[0]), last[-1]);
            const auto knot = std::upper_bound(at, last, value) - at - 1;
            // Where no float64 holds a distance, scores go from knot to knot in steps.
            const double beyond = std::min(value - at[knot], std::numeric_limits<double>::max());
            put(row, normal + i, static_cast<float>(scores[knot] + beyond * slopes[knot]));
          }
        }
      }
      for (py::ssize_t i = 0; flags >= 0 && i < flagged_.size(); ++i) {
        for (py::ssize_t row = begin; row < end; ++row) {
          const bool missing = std::isnan(get(row, flagged_.data()[i]));
          put(row, flags + i, flags_.data()[2 * i + (missing ? 1 : 0)]);
        }
      }
    }
  }

  static constexpr py::ssize_t kRows = 256;
  static constexpr py::ssize_t kBrief = 8;  // which take less than handing a lock over

  Array<int64_t> places_;
  Array<double> median_, factor_;
  Array<int64_t> starts_;
  Array<double> at_, scores_, slopes_;
  Array<int64_t> flagged_;
  Array<float> flags_;
  int64_t width_ = 0;
};

}  // namespace

void bind_tables(py::module_& module) {
  py::class_<NumberViews> views(module, "NumberViews");
  def_constructor<Array<int64_t>, Array<double>, Array<double>, Array<int64_t>, Array<double>,
                  Array<double>, Array<double>, Array<int64_t>, Array<float>>(views);
  views.def("fill", &NumberViews::fill);
  views.def("code", &NumberViews::code);
}

}  // namespace slim
