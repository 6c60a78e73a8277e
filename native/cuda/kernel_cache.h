// Compiled kernels on the disk, so that a program is compiled once on a machine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace slim::cuda {

// $SLIMLEARN_CACHE, else cuda/ in $XDG_CACHE_HOME/slimlearn or ~/.cache/slimlearn; empty: there is
// none.
std::filesystem::path cache_directory();

// A name for what `text` is compiled to: 32 hexadecimal digits.
std::string cache_key(const std::string& text);

// Nothing where the file is not there, is not whole, or cannot be read.
std::optional<std::string> read_cached(const std::string& key);
// To be found by the next process; where that is not possible, it compiles again.
void write_cached(const std::string& key, const std::string& compiled) noexcept;

// A name beside a file that no other thread or process takes; to be renamed to it.
std::filesystem::path fresh_name(const std::filesystem::path& file);

}  // namespace slim::cuda
