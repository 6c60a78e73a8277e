// Files that are written under another name and then renamed: what is there is whole.
#include "cuda/kernel_cache.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

#include "file/checksum.h"

namespace slim::cuda {
namespace {

namespace fs = std::filesystem;

uint64_t checksum_of(const std::string& text) {
  return checksum(reinterpret_cast<const std::byte*>(text.data()),
                  static_cast<int64_t>(text.size()));
}

std::string hex(uint64_t value) {
  std::string digits(16, '0');
  for (size_t i = 16; i-- > 0; value >>= 4) digits[i] = "0123456789abcdef"[value & 15];
  return digits;
}

const char* variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != 0 ? value : nullptr;
}

}  // namespace

fs::path cache_directory() {
  if (const char* own = variable("SLIMLEARN_CACHE")) return own;
  if (const char* shared = variable("XDG_CACHE_HOME")) return fs::path(shared) / "slimlearn/cuda";
  if (const char* home = variable("HOME")) return fs::path(home) / ".cache/slimlearn/cuda";
  return {};
}

std::string cache_key(const std::string& text) {
  return hex(checksum_of(text)) + hex(checksum_of('.' + text));
}

// A line with the checksum, then what was compiled.
std::optional<std::string> read_cached(const std::string& key) {
  const fs::path directory = cache_directory();
  if (directory.empty()) return std::nullopt;
  std::ifstream file(directory / key, std::ios::binary);
  std::string line;
  if (!file || !std::getline(file, line)) return std::nullopt;
  std::string compiled{std::istreambuf_iterator<char>(file), {}};
  if (compiled.empty() || line != hex(checksum_of(compiled))) return std::nullopt;
  return compiled;
}

void write_cached(const std::string& key, const std::string& compiled) noexcept try {
  const fs::path directory = cache_directory();
  if (directory.empty()) return;
  fs::create_directories(directory);
  const fs::path file = directory / key, fresh = fresh_name(file);
  std::ofstream out(fresh, std::ios::binary);
  out << hex(checksum_of(compiled)) << '\n' << compiled;
  out.close();
  std::error_code ignored;
  if (out) {
    fs::rename(fresh, file, ignored);
    if (!ignored) return;
  }
  fs::remove(fresh, ignored);
} catch (const std::exception&) {
  // A full disk or a home that cannot be written to costs time, nothing else.
}

fs::path fresh_name(const fs::path& file) {
  static std::atomic<int> count{0};
  return file.string() + '.' + std::to_string(getpid()) + '.' + std::to_string(++count);
}

}  // namespace slim::cuda
