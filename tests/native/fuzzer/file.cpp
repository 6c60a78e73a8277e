// Any bytes as a model file: refused, or read and written as they are meant.
#include <cstdlib>
#include <new>
#include <stdexcept>
#include <string_view>

#include "file/model_file.h"

namespace {

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

bool same(const slim::StoredProgram& a, const slim::StoredProgram& b) {
  return a.text == b.text && same(a.params, b.params) && same(a.state, b.state) &&
         same(a.slots, b.slots);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using slim::Mapping;
  using slim::ModelFile;
  try {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const ModelFile file(Mapping::of_bytes(bytes));
    std::string written;
    slim::with_pieces(file.content(), [&](const auto& pieces) {
      for (const std::string_view piece : pieces) written += piece;
    });
    const ModelFile again(Mapping::of_bytes(written), true);
    const slim::ModelContent &first = file.content(), &second = again.content();
    const bool equal =
        std::equal(first.programs.begin(), first.programs.end(), second.programs.begin(),
                   second.programs.end(), [](const auto& a, const auto& b) { return same(a, b); });
    if (!equal || first.fit != second.fit || first.estimator != second.estimator ||
        first.outputs != second.outputs || first.further.size() != second.further.size()) {
      std::abort();
    }
  } catch (const std::invalid_argument&) {
  } catch (const std::bad_alloc&) {
  }
  return 0;
}
