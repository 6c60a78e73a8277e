// SHA-256 (FIPS 180-4): tells a file from every other one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace slim {

class Sha256 {
 public:
  // By the processor's own instructions where it has them and `portable` does not rule them out.
  explicit Sha256(bool portable = false);
  void add(std::string_view bytes);
  // 64 digits, of all that was added; nothing is added afterwards.
  std::string digits();

 private:
  using Compress = void (*)(uint32_t* state, const char* blocks, size_t count);

  Compress compress_;
  uint32_t state_[8];
  char rest_[64];  // of the bytes so far what fills no block
  uint64_t bytes_ = 0;
};

}  // namespace slim
