// A line search for the strong Wolfe conditions (Nocedal and Wright, 2006, algorithms 3.5-3.6).
#pragma once

#include <algorithm>
#include <cmath>

namespace slim {

struct LinePoint {
  double step = 0;
  double value = 0;
  double slope = 0;
};

struct LineSearch {
  double sufficient = 1e-4;  // of the decrease that the slope promises
  double curvature = 0.9;    // of the slope that may remain
  int max_evaluations = 50;

  enum class End { accepted, failed, stopped };
  struct Outcome {
    End end;
    LinePoint point;
  };

  // evaluate(LinePoint&) fills value and slope at step; false stops the search. A point whose
  // value is not finite counts as infinitely bad: the search comes back.
  template <class Evaluate>
  Outcome run(const LinePoint& start, double first_step, Evaluate evaluate) const {
    LinePoint low = start, point;
    point.step = first_step;
    for (int i = 0; i < max_evaluations; ++i) {
      if (!evaluate(point)) return {End::stopped, low};
      const bool worse = !std::isfinite(point.value) || !falls(start, point) ||
                         (i > 0 && point.value >= low.value);
      if (worse) return zoom(start, low, point, max_evaluations - i - 1, evaluate);
      if (std::abs(point.slope) <= -curvature * start.slope) return {End::accepted, point};
      if (point.slope >= 0) return zoom(start, point, low, max_evaluations - i - 1, evaluate);
      low = point;
      point.step *= 4;
    }
    return {End::failed, low};
  }

 private:
  bool falls(const LinePoint& start, const LinePoint& point) const {
    return point.value <= start.value + sufficient * point.step * start.slope;
  }

  // `low` is the best point so far; a good one lies between it and `high`.
  template <class Evaluate>
  Outcome zoom(const LinePoint& start, LinePoint low, LinePoint high, int evaluations,
               Evaluate evaluate) const {
    for (int i = 0; i < evaluations; ++i) {
      LinePoint point;
      point.step = between(low, high);
      if (point.step == low.step || point.step == high.step) break;
      if (!evaluate(point)) return {End::stopped, low};
      if (!std::isfinite(point.value) || !falls(start, point) || point.value >= low.value) {
        high = point;
        continue;
      }
      if (std::abs(point.slope) <= -curvature * start.slope) return {End::accepted, point};
      if (point.slope * (high.step - low.step) >= 0) high = low;
      low = point;
    }
    // Rounding may hide the last decrease: the best point so far still counts if it fell.
    return {low.step > 0 && low.value < start.value ? End::accepted : End::failed, low};
  }

  // The minimum of the cubic through both points, kept away from the interval's ends.
  static double between(const LinePoint& a, const LinePoint& b) {
    const double left = std::min(a.step, b.step), right = std::max(a.step, b.step);
    const double margin = 0.1 * (right - left);
    const double middle = left + 0.5 * (right - left);
    if (!std::isfinite(b.value) || !std::isfinite(b.slope)) return middle;
    const double d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.step - b.step);
    const double square = d1 * d1 - a.slope * b.slope;
    if (!(square >= 0)) return middle;
    const double d2 = std::copysign(std::sqrt(square), b.step - a.step);
    const double step =
        b.step - (b.step - a.step) * (b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2);
    if (!std::isfinite(step)) return middle;
    return std::clamp(step, left + margin, right - margin);
  }
};

}  // namespace slim
