// Pieces of the device's memory that end with their owner, and the host's copies of them.
#pragma once

#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/driver.h"

namespace slim::cuda {

// Waits for a stream where it ends itself.
struct StreamEnd {
  StreamEnd(Driver& driver, Stream& stream) : driver(driver), stream(stream) {}
  ~StreamEnd() { driver.wait(stream); }
  StreamEnd(const StreamEnd&) = delete;
  StreamEnd& operator=(const StreamEnd&) = delete;

  Driver& driver;
  Stream& stream;
};

// Of `count` values of a plain type; what is in it, nobody knows.
template <class T>
class Piece {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Piece() = default;
  Piece(Driver& driver, size_t count)
      : driver_(&driver),
        data_(reinterpret_cast<T*>(driver.allocate(static_cast<int64_t>(count * sizeof(T))))),
        count_(count) {}
  ~Piece() {
    if (data_ != nullptr) driver_->release(reinterpret_cast<std::byte*>(data_));
  }
  Piece(Piece&& other) noexcept { *this = std::move(other); }
  Piece& operator=(Piece&& other) noexcept {
    std::swap(driver_, other.driver_);
    std::swap(data_, other.data_);
    std::swap(count_, other.count_);
    return *this;
  }

  T* data() const { return data_; }
  size_t size() const { return count_; }

  // The first of them; from pageable memory the values are read before this returns.
  void send(Stream& stream, const T* values, size_t count) const noexcept {
    driver_->copy(stream, reinterpret_cast<std::byte*>(data_),
                  reinterpret_cast<const std::byte*>(values),
                  static_cast<int64_t>(count * sizeof(T)));
  }
  // There once the stream was waited for.
  void fetch(Stream& stream, T* values, size_t count) const noexcept {
    driver_->copy(stream, reinterpret_cast<std::byte*>(values),
                  reinterpret_cast<const std::byte*>(data_),
                  static_cast<int64_t>(count * sizeof(T)));
  }

 private:
  Driver* driver_ = nullptr;
  T* data_ = nullptr;
  size_t count_ = 0;
};

template <class T>
Piece<T> sent(Driver& driver, Stream& stream, const std::vector<T>& values) {
  Piece<T> piece(driver, std::max<size_t>(values.size(), 1));
  if (!values.empty()) piece.send(stream, values.data(), values.size());
  return piece;
}

}  // namespace slim::cuda
