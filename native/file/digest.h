// The SHA-256 that a model file tells of itself.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace slim {

// 64 digits in the metadata, of the whole file with zeros in their place. They tell every damage,
// and not who wrote the file: that takes digits that came by another way.
constexpr std::string_view kDigestKey = "slimlearn.sha256";
inline std::string no_digest() { return std::string(64, '0'); }

// Of a file in pieces, the first of them its header with zeros.
std::string digest_of(const std::vector<std::string_view>& pieces);
// Writes it into the header.
void seal(std::string& header, const std::string& digest);

// Refuses what can be no digest. Throws std::invalid_argument.
void require_digits(const std::string& digest);
// Refuses a file that tells none, or another one than it has. Throws std::invalid_argument.
void require_digest(std::string_view file, const std::string& told);

}  // namespace slim
