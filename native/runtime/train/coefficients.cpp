// From a segment's coefficients by name to bytes and places.
#include "runtime/train/coefficients.h"

#include <cstring>
#include <stdexcept>

#include "runtime/plan/arena.h"
#include "runtime/train/update.h"

namespace slim {
namespace {

[[noreturn]] void refuse(const Scheduled& scheduled) {
  throw std::invalid_argument("this program declares no hyper " + scheduled.name +
                              " that a schedule could change");
}

}  // namespace

int64_t Coefficients::penalty_at(const Hypers& hypers) { return round_up(hypers.bytes()); }

Coefficients::Coefficients(const Segment& segment, const Hypers& hypers,
                           const std::vector<Scheduled>& scheduled, bool clips)
    : image(static_cast<size_t>(penalty_at(hypers)) + sizeof(Penalty)) {
  std::memcpy(image.data(), hypers.data(), static_cast<size_t>(hypers.bytes()));
  const auto set = [&](int64_t at, double value) {
    std::memcpy(image.data() + at, &value, sizeof value);
  };
  const auto place_of = [&](const std::string& name) -> int64_t {
    const int64_t at = hypers.offset(name);
    if (!clips || at < 0) return at;
    if (name == "segment.l1") return penalty_at(hypers);
    if (name == "segment.l2") return penalty_at(hypers) + 8;
    return at;
  };
  if (const int64_t at = hypers.offset("gradient_scale"); at >= 0) set(at, 1.0);
  for (const auto& [name, value] : segment.coefficients) {
    const int64_t at = place_of(name);
    if (at < 0 && value != (name == "segment.rate" ? 1.0 : 0.0)) {
      throw std::invalid_argument("update does not read " + name +
                                  ": build the program with it, or leave it out");
    }
    if (at >= 0) set(at, value);
  }
  for (const Scheduled& one : scheduled) targets.push_back(target_of(one, hypers));
  // Behind the others: of a number that is scheduled for all, a segment may have its own.
  for (const Scheduled& one : segment.scheduled) {
    const int64_t at = place_of(one.name);
    if (at < 0) refuse(one);
    const auto own = segment.coefficients.find(one.name);
    const double base = own == segment.coefficients.end() ? 0.0 : own->second;
    targets.push_back({at, base, one.scale, one.column});
  }
}

Coefficients::Target target_of(const Scheduled& scheduled, const Hypers& hypers) {
  const int64_t at = hypers.offset(scheduled.name);
  if (at < 0) refuse(scheduled);
  return {at, scheduled.base, scheduled.scale, scheduled.column};
}

}  // namespace slim
