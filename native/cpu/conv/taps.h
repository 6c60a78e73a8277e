// The taps that some results of a convolution share, as one product over k: in which segments
// of the source its k lies, and in which blocks it is summed.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cpu/conv/region.h"
#include "cpu/gemm/plan.h"

namespace slim::SLIM_ISA_NAMESPACE {

// A block of k of at most kFoldK: whole segments, or a part of one.
struct Piece {
  int64_t k = 0;         // of a segment
  int64_t segments = 0;  // none: the sum of nothing
  int64_t segment = 0;   // the first
  int64_t at = 0;        // behind its begin
  int64_t row = 0;       // of k as a whole
};

class Taps {
 public:
  // A segment goes over taps beside each other.
  Taps(const std::array<Phase, kAxes>& phase, const PerAxis& kernel, int64_t channels)
      : phase_(phase), channels_(channels) {
    const auto& [d, h, w] = phase_;
    const bool joined = w.consecutive();
    const size_t along = w.offset.empty() ? 0 : joined ? 1 : w.offset.size();
    for (size_t i = 0; i < d.offset.size(); ++i) {
      for (size_t j = 0; j < h.offset.size(); ++j) {
        for (size_t k = 0; k < along; ++k) {
          at_.push_back({d.offset[i], h.offset[j], w.offset[k]});
        }
        for (const int64_t tap : w.tap) {
          taps_.push_back((d.tap[i] * kernel[1] + h.tap[j]) * kernel[2] + tap);
        }
      }
    }
    inner_ = channels * (joined ? static_cast<int64_t>(w.offset.size()) : 1);
    cut();
  }

  const Phase& phase(int axis) const { return phase_[static_cast<size_t>(axis)]; }
  const std::vector<int64_t>& taps() const { return taps_; }  // each is `channels` rows of k
  int64_t depth() const { return static_cast<int64_t>(taps_.size()) * channels_; }
  const std::vector<Piece>& pieces() const { return pieces_; }

  // Where segments begin, in a box whose first position has these offsets.
  std::vector<int64_t> segments(const PerAxis& least, const Pitch& pitch) const {
    std::vector<int64_t> begins;
    for (const PerAxis& at : at_) {
      begins.push_back(pitch.at(at[0] - least[0], at[1] - least[1], at[2] - least[2]));
    }
    return begins;
  }

 private:
  void cut() {
    const auto count = static_cast<int64_t>(at_.size());
    if (inner_ > kFoldK) {
      for (int64_t segment = 0; segment < count; ++segment) {
        for (int64_t at = 0; at < inner_; at += kFoldK) {
          pieces_.push_back({std::min(kFoldK, inner_ - at), 1, segment, at, segment * inner_ + at});
        }
      }
      return;
    }
    const int64_t most = kFoldK / std::max<int64_t>(inner_, 1);
    for (int64_t segment = 0; segment < count; segment += most) {
      pieces_.push_back({inner_, std::min(most, count - segment), segment, 0, segment * inner_});
    }
    if (pieces_.empty()) pieces_.emplace_back();
  }

  std::array<Phase, kAxes> phase_;
  int64_t channels_;
  int64_t inner_ = 0;  // k of a segment
  std::vector<PerAxis> at_;
  std::vector<int64_t> taps_;
  std::vector<Piece> pieces_;
};

// All phases of the three axes, each with each.
inline std::vector<Taps> all_taps(const std::array<std::vector<Phase>, kAxes>& phases,
                                  const PerAxis& kernel, int64_t channels) {
  std::vector<Taps> all;
  for (const Phase& d : phases[0]) {
    for (const Phase& h : phases[1]) {
      for (const Phase& w : phases[2]) all.emplace_back(std::array{d, h, w}, kernel, channels);
    }
  }
  return all;
}

// The least and the largest offset along an axis; 0 where there is none.
inline std::array<int64_t, 2> reach_of(const std::vector<Phase>& phases) {
  std::array<int64_t, 2> reach = {0, 0};
  bool first = true;
  for (const Phase& phase : phases) {
    if (phase.offset.empty()) continue;
    reach[0] = first ? phase.offset.front() : std::min(reach[0], phase.offset.front());
    reach[1] = first ? phase.offset.back() : std::max(reach[1], phase.offset.back());
    first = false;
  }
  return reach;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
