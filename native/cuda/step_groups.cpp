// What an update treats alike, and the numbers of a step that go there.
#include <algorithm>
#include <stdexcept>

#include "cuda/steps.h"

namespace slim::cuda {
namespace {

constexpr int64_t kChunk = 2048;  // elements of the gradient that a block looks at

}  // namespace

void CudaSteps::make_groups(StepsRequest& request) {
  const Layout& layout = model_->layout();
  const Hypers& hypers = request.hypers;
  const int64_t size = size_of(layout.precision), total = layout.param_bytes / size;
  const Updater::Clip& clip = options_.clip;
  const bool clips = clip.value > 0 || clip.norm > 0;
  if (model_->measure_plan(1)) refuse_on_gpu("an update that reads sums over parameters");
  const int64_t hyper_bytes = round_up(hypers.bytes());
  const auto place_of = [&](const std::string& name) -> int64_t {
    const int64_t at = hypers.offset(name);
    if (clips && at >= 0 && name == "segment.l1") return hyper_bytes;
    if (clips && at >= 0 && name == "segment.l2") return hyper_bytes + 8;
    return at;
  };
  const auto target = [&](const Scheduled& one, std::byte* to, int64_t at, double base) {
    if (at < 0) {
      throw std::invalid_argument("this program declares no hyper " + one.name +
                                  " that a schedule could change");
    }
    target_list_.push_back({reinterpret_cast<double*>(to + at), base, one.scale, one.column});
  };
  const int64_t step = hypers.offset("step"), scale = hypers.offset("gradient_scale");
  if (clip.norm > 0 && scale < 0) {
    throw std::invalid_argument("clipping by norm needs the hyper gradient_scale in update");
  }
  const auto together = [](const Segment&) { return false; };
  const std::vector<Segment> segments =
      join_segments(std::move(request.segments), layout, together);
  int64_t longest = 1;
  for (const Segment& segment : segments) longest = std::max(longest, segment.length);
  update_ = model_->update_plan(longest);
  if (!update_->moves().empty())
    refuse_on_gpu("an update that does not write its weights in place");
  group_facts_ = Piece<Facts>(driver_, std::max<size_t>(segments.size(), 1));
  std::vector<double*> scales;
  std::vector<Facts> group_facts;
  for (const Segment& segment : segments) {
    std::vector<std::byte> image(static_cast<size_t>(hyper_bytes) + 16);
    std::memcpy(image.data(), hypers.data(), static_cast<size_t>(hypers.bytes()));
    const auto set = [&](int64_t at, double value) {
      std::memcpy(image.data() + at, &value, sizeof value);
    };
    if (scale >= 0) set(scale, 1.0);
    for (const auto& [name, value] : segment.coefficients) {
      const int64_t at = place_of(name);
      if (at < 0 && value != (name == "segment.rate" ? 1.0 : 0.0)) {
        throw std::invalid_argument("update does not read " + name +
                                    ": build the program with it, or leave it out");
      }
      if (at >= 0) set(at, value);
    }
    group_hypers_.push_back(sent(driver_, *stream_, image));
    std::byte* own = group_hypers_.back().data();
    for (const Scheduled& one : segment.scheduled) {
      const auto base = segment.coefficients.find(one.name);
      target(one, own, place_of(one.name), base == segment.coefficients.end() ? 0.0 : base->second);
    }
    for (const Scheduled& one : scheduled_) target(one, own, hypers.offset(one.name), one.base);
    if (step >= 0) target_list_.push_back({reinterpret_cast<double*>(own + step), 0, 1, -1});
    if (scale >= 0) scales.push_back(reinterpret_cast<double*>(own + scale));
    const auto* penalty = clips ? reinterpret_cast<const double*>(own + hyper_bytes) : nullptr;
    const int64_t end = std::min(total, segment.offset + segment.length);
    for (int64_t begin = segment.offset; begin < end; begin += kChunk) {
      chunk_list_.push_back({begin, std::min(begin + kChunk, end), penalty});
    }
    Group& group = groups_.emplace_back(Call(*stream_, group_facts_.data() + groups_.size()),
                                        Plan::Lease(*update_, 1));
    Arrays moved = arrays_;
    moved.param += segment.offset * size;
    moved.gradient += segment.offset * size;
    if (moved.slot != nullptr) moved.slot += segment.offset * size;
    moved.hyper = own;
    moved.lend(group.lease->context);
    group.lease->context.rows = segment.length;
    group_lengths_.push_back(segment.length);
    group_facts.push_back({segment.length, 0, 0, 0, 0});
  }
  if (!group_facts.empty()) {
    group_facts_.send(*stream_, group_facts.data(), group_facts.size());
  }
  for (Group& group : groups_) group.lease->context.call = &group.call;
  std::byte* base = hypers_.data();
  for (const Scheduled& one : scheduled_) target(one, base, hypers.offset(one.name), one.base);
  if (const int64_t rows = hypers.offset("global_rows"); rows >= 0) {
    target_list_.push_back({reinterpret_cast<double*>(base + rows), 0, 1, -2});
  }
  targets_ = sent(driver_, *stream_, target_list_);
  lengths_ = sent(driver_, *stream_, group_lengths_);
  chunks_ = sent(driver_, *stream_, chunk_list_);
  if (clip.norm > 0) {
    squares_ = Piece<double>(driver_, std::max<size_t>(chunk_list_.size(), 1));
    scales_ = sent(driver_, *stream_, scales);
  }
  driver_.wait(*stream_);
}

}  // namespace slim::cuda
