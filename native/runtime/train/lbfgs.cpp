// Two-loop recursion over the last pairs, strong Wolfe steps.
#include "runtime/train/lbfgs.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>

#include "runtime/train/line_search.h"

namespace slim {
namespace {

using Vector = std::vector<double>;

double dot(const Vector& a, const Vector& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double largest(const Vector& a) {
  double top = 0;
  for (const double value : a) {
    if (!(std::abs(value) <= top)) top = std::abs(value);
  }
  return top;
}

constexpr double kRounding = 4096 * std::numeric_limits<double>::epsilon();

// What tolerances of an objective are relative to.
double magnitude(double objective) { return std::max(std::abs(objective), 1.0); }

struct Pair {
  Vector step;
  Vector change;
  double inverse = 0;  // 1 / <step, change>
};

// −H·g for the inverse Hessian that the pairs stand for.
void find_direction(const std::deque<Pair>& pairs, const Vector& gradient, Vector& direction) {
  direction = gradient;
  Vector weights(pairs.size());
  for (size_t i = pairs.size(); i-- > 0;) {
    weights[i] = pairs[i].inverse * dot(pairs[i].step, direction);
    for (size_t k = 0; k < direction.size(); ++k) {
      direction[k] -= weights[i] * pairs[i].change[k];
    }
  }
  if (!pairs.empty()) {
    const Pair& last = pairs.back();
    const double scale = 1.0 / (last.inverse * dot(last.change, last.change));
    for (double& value : direction) value *= scale;
  }
  for (size_t i = 0; i < pairs.size(); ++i) {
    const double correction = weights[i] - pairs[i].inverse * dot(pairs[i].change, direction);
    for (size_t k = 0; k < direction.size(); ++k) {
      direction[k] += correction * pairs[i].step[k];
    }
  }
  for (double& value : direction) value = -value;
}

}  // namespace

const char* name_of(LbfgsEnd end) {
  switch (end) {
    case LbfgsEnd::gradient:
      return "gradient";
    case LbfgsEnd::loss:
      return "loss";
    case LbfgsEnd::iterations:
      return "iterations";
    case LbfgsEnd::line_search:
      return "line_search";
    case LbfgsEnd::interrupted:
      return "interrupted";
    case LbfgsEnd::nonfinite:
      return "nonfinite";
    case LbfgsEnd::status:
      return "status";
  }
  return "";
}

LbfgsResult minimize_lbfgs(Objective& objective, const LbfgsOptions& options,
                           const LbfgsCallback& callback, const Interrupt& interrupt) {
  LbfgsResult result;
  Vector x, gradient, direction, next_x, next_gradient;
  objective.read_weights(x);
  Watch watch(interrupt);
  result.objective = objective.evaluate(x, gradient, watch);
  const auto keep_sums = [&] {
    result.loss_sum = objective.loss_sum();
    result.weight_sum = objective.weight_sum();
    result.gradient_max = largest(gradient);
  };
  const auto ends = [&](LbfgsEnd end) {
    objective.write_weights(x);
    result.end = end;
    return result;
  };
  keep_sums();
  result.evaluations = 1;
  if (watch.stopped()) return ends(LbfgsEnd::interrupted);
  result.status = objective.status();
  if (result.status) return ends(LbfgsEnd::status);
  if (!std::isfinite(result.objective) || !std::isfinite(result.gradient_max)) {
    return ends(LbfgsEnd::nonfinite);
  }
  LineSearch search;
  search.max_evaluations = options.max_evaluations;
  std::deque<Pair> pairs;
  while (true) {
    if (result.gradient_max <= options.gradient_tolerance) return ends(LbfgsEnd::gradient);
    if (result.iterations >= options.max_iterations) return ends(LbfgsEnd::iterations);
    find_direction(pairs, gradient, direction);
    LinePoint start{0, result.objective, dot(gradient, direction)};
    if (!(start.slope < 0)) {  // rounding spoiled the pairs: steepest descent again
      pairs.clear();
      find_direction(pairs, gradient, direction);
      start.slope = dot(gradient, direction);
    }
    double kept_step = -1;  // where the last evaluation was
    const auto evaluate = [&](LinePoint& point) {
      next_x = x;
      for (size_t i = 0; i < x.size(); ++i) next_x[i] += point.step * direction[i];
      point.value = objective.evaluate(next_x, next_gradient, watch);
      point.slope = dot(next_gradient, direction);
      kept_step = point.step;
      ++result.evaluations;
      return !watch.stopped();
    };
    const double length = std::sqrt(dot(gradient, gradient));
    const double first = pairs.empty() ? std::min(1.0, 1.0 / length) : 1.0;
    LineSearch::Outcome found = search.run(start, first, evaluate);
    if (found.end == LineSearch::End::stopped) return ends(LbfgsEnd::interrupted);
    if (found.end == LineSearch::End::failed) {
      // What the slope still promises is less than the rounding of the objective's sum.
      if (-start.slope <= kRounding * magnitude(result.objective)) {
        return ends(LbfgsEnd::loss);
      }
      if (pairs.empty()) return ends(LbfgsEnd::line_search);
      pairs.clear();  // once more along the gradient
      continue;
    }
    if (kept_step != found.point.step && !evaluate(found.point)) {
      return ends(LbfgsEnd::interrupted);
    }
    Pair pair{Vector(x.size()), Vector(x.size())};
    for (size_t i = 0; i < x.size(); ++i) {
      pair.step[i] = next_x[i] - x[i];
      pair.change[i] = next_gradient[i] - gradient[i];
    }
    const double product = dot(pair.step, pair.change);
    if (product > 2.220446049250313e-16 * dot(pair.change, pair.change)) {
      pair.inverse = 1.0 / product;
      pairs.push_back(std::move(pair));
      if (pairs.size() > static_cast<size_t>(options.history)) pairs.pop_front();
    }
    const double before = result.objective;
    x.swap(next_x);
    gradient.swap(next_gradient);
    result.objective = found.point.value;
    keep_sums();
    ++result.iterations;
    if (callback && callback(result)) return ends(LbfgsEnd::interrupted);
    const double scale = std::max(magnitude(before), magnitude(result.objective));
    if (before - result.objective <= options.loss_tolerance * scale) {
      return ends(result.gradient_max <= options.gradient_tolerance ? LbfgsEnd::gradient
                                                                    : LbfgsEnd::loss);
    }
  }
}

}  // namespace slim
