// Finds the digits in a file's header, makes them and compares them.
#include "file/digest.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "file/container.h"
#include "file/sha256.h"

namespace slim {
namespace {

// Where the digits begin, as `Container::pieces` writes them; npos where another writer put them
// elsewhere. A quote inside of a text has a stroke before it, so that no text looks like the key.
size_t digits_in(std::string_view header) {
  const std::string before = '"' + std::string(kDigestKey) + "\":\"";
  const size_t found = header.find(before);
  return found == header.npos ? found : found + before.size();
}

}  // namespace

std::string digest_of(const std::vector<std::string_view>& pieces) {
  Sha256 sum;
  for (const std::string_view piece : pieces) sum.add(piece);
  return sum.digits();
}

void seal(std::string& header, const std::string& digest) {
  header.replace(digits_in(header), digest.size(), digest);
}

void require_digits(const std::string& digest) {
  const auto is_digit = [](char c) { return ('0' <= c && c <= '9') || ('a' <= c && c <= 'f'); };
  if (digest.size() == no_digest().size() && std::all_of(digest.begin(), digest.end(), is_digit)) {
    return;
  }
  damaged("its SHA-256 is no 64 digits");
}

void require_digest(std::string_view file, const std::string& told) {
  if (told.empty()) {
    throw std::invalid_argument(
        "the file does not tell its SHA-256: it was saved before format 2.3; save it again, or "
        "compare the digits of sha256sum");
  }
  uint64_t length = 0;  // it was read, and so is one
  std::memcpy(&length, file.data(), sizeof length);
  const std::string_view header = file.substr(0, sizeof length + length);
  const size_t at = digits_in(header);
  if (header.substr(std::min(at, header.size()), told.size()) != told) {
    throw std::invalid_argument(
        "the file's header was written anew by another program, which its SHA-256 does not "
        "outlast; take the file as slimlearn saved it");
  }
  const std::string found =
      digest_of({header.substr(0, at), no_digest(), file.substr(at + told.size())});
  if (found != told) damaged("its SHA-256 is " + found + ", not " + told + " as it tells");
}

}  // namespace slim
