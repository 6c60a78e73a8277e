// Kernel of orthogonal: the Q of a QR factorization by Householder reflections, in double
// (Golub and Van Loan, Matrix Computations, 5.2), with the signs that make R's diagonal
// positive.
#include <cmath>

#include "cpu/check.h"
#include "cpu/kernel_set.h"

namespace slim::SLIM_ISA_NAMESPACE {
namespace {

// A matrix by columns, rows >= columns; a wide operand stands here transposed.
struct Columns {
  double* data;
  int64_t rows, columns;

  double* column(int64_t j) const { return data + j * rows; }
};

// Four partial sums in a fixed order, which the compiler may keep in one vector.
double dot(const double* a, const double* b, int64_t n) {
  double part[4] = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    for (int j = 0; j < 4; ++j) part[j] += a[i + j] * b[i + j];
  }
  for (; i < n; ++i) part[0] += a[i] * b[i];
  return (part[0] + part[1]) + (part[2] + part[3]);
}

// x -= v·(2·v'x), v of length 1
void reflect(const double* v, double* x, int64_t n) {
  const double twice = 2.0 * dot(v, x, n);
  for (int64_t i = 0; i < n; ++i) x[i] -= twice * v[i];
}

// Column j becomes the reflection's unit vector (from row j on); returns R's diagonal entry.
// A column that is zero already needs no reflection: the vector stays zero.
double make_reflection(double* x, int64_t n) {
  const double norm = std::sqrt(dot(x, x, n));
  if (norm == 0.0) return 0.0;
  const double diagonal = x[0] > 0.0 ? -norm : norm;  // no cancellation in x[0] - diagonal
  x[0] -= diagonal;
  const double length = std::sqrt(dot(x, x, n));
  for (int64_t i = 0; i < n; ++i) x[i] /= length;
  return diagonal;
}

class OrthogonalLaunch final : public Launch {
 public:
  explicit OrthogonalLaunch(const Binding& binding)
      : src_(binding.operands[0]), dst_(binding.results[0]) {}

  int64_t tasks(int64_t) const override { return 1; }

  // The reflections, Q, and R's diagonal.
  int64_t local_bytes() const override {
    return (2 * src_.dims[0] * src_.dims[1] + columns()) * static_cast<int64_t>(sizeof(double));
  }

  void run(const Context& context, int64_t, std::byte* local) const noexcept override {
    if (src_.dtype == DType::f32) {
      factor<float>(context, reinterpret_cast<double*>(local));
    } else {
      factor<double>(context, reinterpret_cast<double*>(local));
    }
  }

  Cost cost(int64_t) const override {
    const auto m = static_cast<double>(std::max(src_.dims[0], src_.dims[1]));
    const auto n = static_cast<double>(columns());
    return {4 * m * n * n, 4 * m * n * sizeof(double)};
  }

 private:
  int64_t columns() const { return std::min(src_.dims[0], src_.dims[1]); }

  template <class T>
  void factor(const Context& context, double* local) const {
    const int64_t m = src_.dims[0], n = src_.dims[1];
    const bool wide = m < n;
    const Columns v{local, std::max(m, n), columns()};
    const Columns q{local + m * n, v.rows, v.columns};
    double* diagonal = local + 2 * m * n;
    const T* src = src_.in<T>(context);
    T* dst = dst_.in<T>(context);
    // Element (i, j) of the tall matrix in the row-major operand.
    const int64_t row_step = wide ? 1 : n, column_step = wide ? n : 1;
    for (int64_t j = 0; j < v.columns; ++j) {
      for (int64_t i = 0; i < v.rows; ++i) {
        v.column(j)[i] = static_cast<double>(src[i * row_step + j * column_step]);
      }
    }
    for (int64_t j = 0; j < v.columns; ++j) {
      diagonal[j] = make_reflection(v.column(j) + j, v.rows - j);
      for (int64_t k = j + 1; k < v.columns; ++k) {
        reflect(v.column(j) + j, v.column(k) + j, v.rows - j);
      }
    }
    for (int64_t k = 0; k < q.columns; ++k) {
      double* column = q.column(k);
      std::fill_n(column, q.rows, 0.0);
      column[k] = diagonal[k] < 0.0 ? -1.0 : 1.0;
      for (int64_t j = k + 1; j-- > 0;) reflect(v.column(j) + j, column + j, q.rows - j);
      for (int64_t i = 0; i < q.rows; ++i) {
        dst[i * row_step + k * column_step] = static_cast<T>(column[i]);
      }
    }
  }

  Buffer src_, dst_;
};

Prepared prepare_orthogonal(const Binding& binding) {
  if (binding.operands[0].per_row > 0) {
    binding.refuse("needs a matrix of fixed size, got " + operand_text(binding, 0));
  }
  return std::make_unique<OrthogonalLaunch>(binding);
}

}  // namespace

SLIM_KERNEL(orthogonal, prepare_orthogonal);

}  // namespace slim::SLIM_ISA_NAMESPACE
