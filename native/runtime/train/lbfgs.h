// L-BFGS (Liu and Nocedal, 1989): the whole minimisation natively, in float64.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "runtime/call/interrupt.h"
#include "runtime/train/objective.h"

namespace slim {

struct LbfgsOptions {
  int64_t max_iterations = 100;
  double gradient_tolerance = 1e-4;                    // on the largest |component| of the gradient
  double loss_tolerance = 64 * 2.220446049250313e-16;  // (f − f')/max(|f|, |f'|, 1)
  int64_t history = 10;
  int max_evaluations = 50;  // in one line search
};

enum class LbfgsEnd : uint8_t {
  gradient,     // the gradient fell under its tolerance
  loss,         // the objective no longer falls
  iterations,   // max_iterations done
  line_search,  // no point along the direction was accepted
  interrupted,  // by the callback or the user
  nonfinite,    // the objective or its gradient is not finite where the search began
  status,       // bad data
};
const char* name_of(LbfgsEnd end);

struct LbfgsResult {
  LbfgsEnd end = LbfgsEnd::iterations;
  int64_t iterations = 0;
  int64_t evaluations = 0;
  double objective = 0;
  double loss_sum = 0;  // Σ w·l at the result
  double weight_sum = 0;
  double gradient_max = 0;
  uint32_t status = 0;
};

// After each iteration, the weights in place. True stops.
using LbfgsCallback = std::function<bool(const LbfgsResult&)>;

// The best weights found stand in the parameter arena when it returns.
LbfgsResult minimize_lbfgs(Objective& objective, const LbfgsOptions& options,
                           const LbfgsCallback& callback, const Interrupt& interrupt);

}  // namespace slim
