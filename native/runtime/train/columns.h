// The columns that a linear layer reads, each in its own unit: what L-BFGS measures its weights by.
#pragma once

#include <cstdint>
#include <vector>

namespace slim {

// A layer X·W + b is V·(X − centre)/scale + β of other coordinates, V = scale · W and
// β = b + centre · W: in them a step, a curvature and the gradient's tolerance do not depend on
// where X's columns lie and how far they reach.
struct Columns {
  int64_t weights = -1;  // where W [columns, outputs] begins, in elements of the arena; -1: none
  int64_t biases = -1;   // and b [outputs]; -1: there is none, and nothing is centred
  int64_t outputs = 1;
  std::vector<double> centre, scale;  // of each column

  // Coordinates of weights, in place; W begins at `w` of them and b at `b`.
  void from_weights(double* w, double* b) const {
    visit(w, [&](int64_t column, int64_t output, double& weight) {
      if (b != nullptr) b[output] += centre[column] * weight;
      weight *= scale[column];
    });
  }
  void to_weights(double* w, double* b) const {
    visit(w, [&](int64_t column, int64_t output, double& weight) {
      weight /= scale[column];
      if (b != nullptr) b[output] -= centre[column] * weight;
    });
  }
  // The gradient by the coordinates, of that by the weights.
  void gradient(double* w, const double* b) const {
    visit(w, [&](int64_t column, int64_t output, double& slope) {
      if (b != nullptr) slope -= centre[column] * b[output];
      slope /= scale[column];
    });
  }

 private:
  template <class Visit>
  void visit(double* w, Visit each) const {
    for (int64_t column = 0; column < static_cast<int64_t>(scale.size()); ++column) {
      for (int64_t output = 0; output < outputs; ++output) each(column, output, *w++);
    }
  }
};

}  // namespace slim
