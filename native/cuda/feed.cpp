// Packs windows on the host's lanes, and says which stream waits for which.
#include "cuda/feed.h"

#include <algorithm>

#include "runtime/call/team.h"

namespace slim::cuda {

Feed::Feed(Driver& driver, const BatchRule& rule, std::vector<const Gather*> inputs, int64_t most,
           int threads)
    : driver_(driver), rule_(rule), threads_(threads), stream_(driver.open_stream()) {
  int64_t row = 0;
  for (const Gather* gather : inputs) row += gather->packed_row_bytes();
  const int64_t batch = std::max<int64_t>(rule.batch * row, 1);
  steps_ = std::clamp<int64_t>(most / 2 / batch, 1, rule.steps());
  room_ = steps_ * rule.batch + (rule.joined() ? 1 : 0);
  for (const Gather* gather : inputs) {
    const int64_t own = gather->packed_row_bytes();
    const auto ring = static_cast<size_t>(std::max<int64_t>(2 * room_ * own, 1));
    inputs_.push_back({gather, own, bytes_, Piece<std::byte>(driver, ring)});
    bytes_ += room_ * own;
  }
  for (auto* events : {&sent_, &used_}) {
    for (auto& event : *events) event = driver.open_event();
  }
  pinned_ = driver.allocate_host(std::max<int64_t>(2 * bytes_, 1));
}

Feed::~Feed() {
  driver_.wait(*stream_);
  driver_.release_host(pinned_);
}

int64_t Feed::end_of_window(int64_t step) const {
  return std::min((step / steps_ + 1) * steps_, rule_.steps());
}

std::vector<uint32_t> Feed::places() const {
  std::vector<uint32_t> places(static_cast<size_t>(rule_.rows));
  for (int64_t step = 0; step < rule_.steps(); ++step) {
    const int64_t window = step / steps_;
    const int64_t before = rule_.begin(step) - rule_.begin(window * steps_);
    for (int64_t i = 0; i < rule_.count(step); ++i) {
      places[static_cast<size_t>(rule_.begin(step) + i)] =
          static_cast<uint32_t>(window % 2 * room_ + before + i);
    }
  }
  return places;
}

void Feed::begin(const uint32_t* order) {
  driver_.wait(*stream_);  // it may have been refused something
  order_ = order;
  loaded_ = -1;
}

void Feed::before(Stream& stream, int64_t step) noexcept {
  const int64_t window = step / steps_;
  if (window > loaded_) load(window);
  driver_.follow(stream, *sent_[window % 2]);
}

void Feed::after(Stream& stream, int64_t step) noexcept {
  const int64_t window = step / steps_, next = window + 1;
  driver_.mark(*used_[window % 2], stream);
  if (next > loaded_ && next * steps_ < rule_.steps()) load(next);
}

void Feed::load(int64_t window) noexcept {
  const int64_t half = window % 2, last = end_of_window(window * steps_) - 1;
  const int64_t first = rule_.begin(window * steps_);
  const int64_t count = rule_.begin(last) + rule_.count(last) - first;
  std::byte* packed = pinned_ + half * bytes_;
  driver_.wait(*sent_[half]);  // what was packed there before
  const LaneGrant grant(allowed_lanes(threads_));
  run_lanes(grant.lanes(), [&](const Lane& lane) {
    const int64_t begin = lane.begin(count), end = lane.end(count);
    for (const Input& input : inputs_) {
      input.gather->pack(packed + input.offset + begin * input.row, order_ + first + begin,
                         end - begin);
    }
  });
  driver_.follow(*stream_, *used_[half]);
  for (const Input& input : inputs_) {
    driver_.copy(*stream_, input.ring.data() + half * room_ * input.row, packed + input.offset,
                 count * input.row);
  }
  driver_.mark(*sent_[half], *stream_);
  loaded_ = window;
}

}  // namespace slim::cuda
