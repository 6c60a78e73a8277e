// Threads as ranks: the last one to arrive adds up, in the order of the ranks.
#include "runtime/train/exchange.h"

#include <cstring>
#include <stdexcept>

#include "runtime/train/guard.h"

namespace slim {

std::vector<std::shared_ptr<Exchange>> ThreadExchange::make(int ranks) {
  if (ranks < 1) throw std::invalid_argument("there must be 1 rank or more");
  auto room = std::make_shared<Room>();
  room->gradients.resize(static_cast<size_t>(ranks));
  room->facts.resize(static_cast<size_t>(ranks));
  std::vector<std::shared_ptr<Exchange>> all;
  for (int rank = 0; rank < ranks; ++rank) {
    all.push_back(std::shared_ptr<Exchange>(new ThreadExchange(room, rank, ranks)));
  }
  return all;
}

ThreadExchange::ThreadExchange(std::shared_ptr<Room> room, int rank, int ranks)
    : room_(std::move(room)), rank_(rank), ranks_(ranks) {}

void ThreadExchange::sum(std::byte* gradient, int64_t count, DType dtype,
                         StepFacts& facts) noexcept {
  Room& room = *room_;
  std::unique_lock lock(room.mutex);
  room.gradients[static_cast<size_t>(rank_)] = gradient;
  room.facts[static_cast<size_t>(rank_)] = &facts;
  if (++room.arrived < ranks_) {
    // The last one writes into the arrays of all, and so nobody leaves before it has.
    const int64_t turn = room.turn;
    room.changed.wait(lock, [&] { return room.turn != turn; });
    return;
  }
  StepFacts total;
  for (int rank = 0; rank < ranks_; ++rank) {
    const auto at = static_cast<size_t>(rank);
    const StepFacts& own = *room.facts[at];
    total.objective += own.objective;
    total.loss += own.loss;
    total.weight += own.weight;
    total.rows += own.rows;
    total.status |= own.status;
    total.stop = total.stop || own.stop;
    if (rank > 0 && count > 0) add_values(room.gradients[0], room.gradients[at], count, dtype);
  }
  for (int rank = 0; rank < ranks_; ++rank) {
    const auto at = static_cast<size_t>(rank);
    *room.facts[at] = total;
    if (rank > 0 && count > 0) {
      std::memcpy(room.gradients[at], room.gradients[0],
                  static_cast<size_t>(count * size_of(dtype)));
    }
  }
  room.arrived = 0;
  ++room.turn;
  lock.unlock();
  room.changed.notify_all();
}

}  // namespace slim
