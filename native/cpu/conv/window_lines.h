// Lines of windows' results (or of what windows read, backward) in runs of pixels that share
// their taps; taps outside of the source are left out.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/conv/region.h"

namespace slim::SLIM_ISA_NAMESPACE {

// In elements: from where a pixel reads, and a number that its user gives it.
struct Tap {
  int64_t source, number;
};

// Pixels of a line: number x, x + x_step … of it, each reading source_step behind the one before.
struct PixelRun {
  int64_t x, x_step, count;
  int64_t source, source_step;  // of the whole buffer, without a tap's offset
  const Tap* taps;
  int64_t tap_count;
};

class WindowLines {
 public:
  // Tap t has the number t · unit; pixels of the source lie source_pixel apart.
  WindowLines(const Geometry& geometry, bool backward, int64_t source_pixel, int64_t unit)
      : kernel_(geometry.kernel),
        source_(backward ? geometry.y : geometry.x),
        result_(backward ? geometry.x : geometry.y),
        pitch_(source_, source_pixel),
        unit_(unit) {
    for (int axis = 0; axis < kAxes; ++axis) {
      phases_[axis] = backward ? backward_phases(geometry, axis) : forward_phases(geometry, axis);
    }
    for (const Phase& d : phases_[0]) {
      for (const Phase& h : phases_[1]) {
        for (const Phase& w : phases_[2]) {
          std::vector<Tap> all(static_cast<size_t>(geometry.taps()));
          const int64_t count = select(d, h, w, whole(d), whole(h), whole(w), all.data());
          all.resize(static_cast<size_t>(count));
          taps_.push_back(std::move(all));
        }
      }
    }
    for (const Phase& w : phases_[2]) {
      Range inside{0, w.count};
      while (inside.length() > 0 && !sees_all(w, inside.first)) ++inside.first;
      while (inside.length() > 0 && !sees_all(w, inside.last - 1)) --inside.last;
      inside_.push_back(inside);
    }
  }

  const PerAxis& source() const { return source_; }
  const PerAxis& result() const { return result_; }
  int64_t a_image() const { return result_[0] * result_[1]; }  // lines
  int64_t local_bytes() const { return volume(kernel_) * int64_t{sizeof(Tap)}; }

  // Calls pixels(PixelRun) for the parts of a line, whose taps `local` may hold meanwhile.
  template <class Pixels>
  void visit(int64_t line, Tap* local, Pixels pixels) const {
    const auto depths = static_cast<int64_t>(phases_[0].size());
    const auto heights = static_cast<int64_t>(phases_[1].size());
    const auto widths = static_cast<int64_t>(phases_[2].size());
    const int64_t y = line % result_[1], z = line / result_[1] % result_[0];
    const int64_t image = line / a_image();
    const Phase& d = phases_[0][static_cast<size_t>(z % depths)];
    const Phase& h = phases_[1][static_cast<size_t>(y % heights)];
    const int64_t at_d = z / depths, at_h = y / heights;
    const Range in_d = taps_inside(d, at_d, source_[0]), in_h = taps_inside(h, at_h, source_[1]);
    const bool every = in_d.length() == whole(d).length() && in_h.length() == whole(h).length();
    const int64_t source =
        image * source_[0] * pitch_.depth + pitch_.at(d.scale * at_d, h.scale * at_h, 0);
    for (int64_t phase = 0; phase < widths; ++phase) {
      const Phase& w = phases_[2][static_cast<size_t>(phase)];
      const Range inside = inside_[static_cast<size_t>(phase)];
      PixelRun run;
      run.x_step = w.step;
      run.source_step = w.scale * pitch_.pixel;
      const auto call = [&](int64_t first, int64_t count) {
        run.x = w.first + w.step * first;
        run.count = count;
        run.source = source + first * run.source_step;
        pixels(run);
      };
      const auto edge = [&](int64_t position) {
        run.taps = local;
        run.tap_count = select(d, h, w, in_d, in_h, taps_inside(w, position, source_[2]), local);
        call(position, 1);
      };
      for (int64_t position = 0; position < inside.first; ++position) edge(position);
      if (inside.length() > 0) {
        const auto& all =
            taps_[static_cast<size_t>(((z % depths) * heights + y % heights) * widths + phase)];
        run.taps = every ? all.data() : local;
        run.tap_count =
            every ? static_cast<int64_t>(all.size()) : select(d, h, w, in_d, in_h, whole(w), local);
        call(inside.first, inside.length());
      }
      for (int64_t position = inside.last; position < w.count; ++position) edge(position);
    }
  }

  // What the line below is the first to read: rows of the source, in whole.
  Range read_next(int64_t line) const {
    const auto heights = static_cast<int64_t>(phases_[1].size());
    const int64_t y = line % result_[1];
    const Phase& h = phases_[1][static_cast<size_t>(y % heights)];
    if (y % heights > 0 || h.offset.empty() || result_[0] > 1) return {0, 0};
    const int64_t below = std::max<int64_t>(h.scale * (y / heights) + h.offset.back() + 1, 0);
    const int64_t first = line / result_[1] * source_[1] + below;
    return {first, first + std::clamp<int64_t>(source_[1] - below, 0, h.scale)};
  }

 private:
  static Range whole(const Phase& phase) { return {0, static_cast<int64_t>(phase.offset.size())}; }
  bool sees_all(const Phase& w, int64_t position) const {
    return taps_inside(w, position, source_[2]).length() == whole(w).length();
  }

  // The taps in these ranges, in the order of the phases.
  int64_t select(const Phase& d, const Phase& h, const Phase& w, Range in_d, Range in_h, Range in_w,
                 Tap* to) const {
    int64_t count = 0;
    for (int64_t i = in_d.first; i < in_d.last; ++i) {
      for (int64_t j = in_h.first; j < in_h.last; ++j) {
        for (int64_t k = in_w.first; k < in_w.last; ++k) {
          const int64_t tap = (d.tap[i] * kernel_[1] + h.tap[j]) * kernel_[2] + w.tap[k];
          to[count++] = {pitch_.at(d.offset[i], h.offset[j], w.offset[k]), tap * unit_};
        }
      }
    }
    return count;
  }

  PerAxis kernel_, source_, result_;  // sizes of an image
  Pitch pitch_;                       // of the source
  int64_t unit_;
  std::array<std::vector<Phase>, kAxes> phases_;
  std::vector<std::vector<Tap>> taps_;  // all taps, by phases
  std::vector<Range> inside_;           // by phase: pixels of a line that see all its taps
};

}  // namespace slim::SLIM_ISA_NAMESPACE
