// L-BFGS: the whole minimisation natively, over fixed chunks of rows, sums in float64.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/model.h"
#include "runtime/source.h"
#include "runtime/trainer.h"
#include "runtime/update.h"

namespace slim {

struct LbfgsOptions {
  int64_t max_iterations = 100;
  double gradient_tolerance = 1e-4;  // on the largest |component| of the gradient
  double loss_tolerance = 64 * 2.220446049250313e-16;  // (f − f')/max(|f|, |f'|, 1)
  int history = 10;
  int max_evaluations = 50;  // in one line search
  uint32_t seed = 0;
  int threads = 1;
};

enum class LbfgsEnd : uint8_t {
  gradient,     // the gradient fell under its tolerance
  loss,         // the objective no longer falls
  iterations,   // max_iterations done
  line_search,  // no point along the direction was accepted
  interrupted,  // by the callback or the user
  nonfinite,    // the objective or its gradient is not finite where the search stands
  status,       // bad data
};

struct LbfgsResult {
  LbfgsEnd end = LbfgsEnd::iterations;
  int64_t iterations = 0;
  int64_t evaluations = 0;
  double objective = 0;
  double loss_sum = 0;    // Σ w·l at the result
  double weight_sum = 0;
  double gradient_max = 0;
  uint32_t status = 0;
  std::vector<double> objectives;  // after each iteration
};

// After each iteration, with the weights in place: iteration, objective, mean loss. True stops.
using LbfgsCallback = std::function<bool(int64_t, double, double)>;

class Lbfgs {
 public:
  // Throws std::invalid_argument for a program that draws random numbers or writes state in
  // grad, and for an l1 penalty.
  Lbfgs(std::shared_ptr<const Model> model, const std::vector<Source>& sources,
        std::vector<uint32_t> index, const LbfgsOptions& options, Arrays arrays,
        std::vector<Segment> segments, const Hypers& hypers);
  ~Lbfgs();

  LbfgsResult minimize(const LbfgsCallback& callback, const Interrupt& interrupt);

 private:
  class Objective;
  std::unique_ptr<Objective> objective_;
  LbfgsOptions options_;
};

}  // namespace slim
