// What an estimator's methods make of the numbers that its program returns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace slim {

// slimlearn.outputs of a model file: JSON of a closed schema. Its writer is
// estimators/saving/outputs.py.
//   {"kind": "binary", "labels": [["no", "yes"]]}       predict: whether the number is above 0
//   {"kind": "classes", "labels": [[…], …]}             of each output the place of the largest
//   {"kind": "several", "labels": [["0", "1"], …]}      of each label whether it is above 0
//   {"kind": "numbers", "shape": [], "scale": [2.5], "center": [1.0], "quantiles": 1}
//                                                       scale · number + center, for each target;
//                                                       of several quantiles those in order, and
//                                                       "place" and "middle" beside them
//   {"kind": "positive", "shape": []}                   exp(number)
struct Outputs {
  // What a method makes of what a function returns.
  enum class Step : uint8_t { none, binary, classes, several, numbers, positive, quantiles };
  struct Method {
    std::string function;
    Step step = Step::none;
  };

  // Throws std::invalid_argument.
  static Outputs read(const std::string& text);

  bool is_classifier() const { return !labels.empty(); }
  // By their names in Python. `probabilities`: whether the program has a function for them.
  std::map<std::string, Method> methods(bool probabilities) const;
  // Numbers of a row that a step reads, and extents of what it gives, behind the rows.
  int64_t numbers() const;
  std::vector<int64_t> shape_of(Step step) const;
  // Of so many rows; changes `raw`. Class codes are int64, all else is float64.
  void apply(Step step, double* raw, int64_t rows, std::byte* to) const noexcept;

  std::string kind;
  std::vector<std::vector<std::string>> labels;  // of each output
  std::vector<int64_t> shape;                    // of the targets: [] or [k]
  std::vector<double> scale, center;             // of each target
  std::vector<int64_t> place;                    // of each quantile among the rising ones
  int64_t quantiles = 0;                         // of each target; 0: none were asked for
  int64_t middle = 0;                            // which of them predict gives
};

}  // namespace slim
