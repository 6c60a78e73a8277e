// Format 2: a program, its arrays and what belongs to them, in one safetensors file.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "file/container.h"
#include "file/mapping.h"
#include "runtime/plan/layout.h"

namespace slim {

// The arrays of the file are parameters and states by their names, slots as
// "fc1/weights#adam/m", and further ones as "#array/…". In its metadata stand
//   slimlearn.format     "2"
//   slimlearn.program    the text
//   slimlearn.meta       JSON of a closed schema: {"inputs": [{"name": "num", "source": "X",
//                        "type": "f32[B,2]", "columns": ["age", "fare"]}]}, all but name optional
//   slimlearn.fit        of a checkpoint: JSON of its writer
//   slimlearn.checksums  JSON: XXH64 of every array by its name, of "#program", "#meta", "#fit"
struct ModelContent {
  std::string text;
  std::string meta = "{}";
  std::string fit;              // empty: none
  std::span<std::byte> params;  // as long as the layout says
  std::span<std::byte> state;
  std::span<std::byte> slots;  // empty: none
  std::vector<StoredArray> further;
};

// The file in memory. Throws std::invalid_argument, FileError.
std::string to_bytes(const ModelContent& content);
void save(const ModelContent& content, const std::string& path);

// What a file holds, all of it checked; the arenas lie in the mapping where that holds them as
// the layout does, and are writable: no one else sees it.
class ModelFile {
 public:
  // Throws std::invalid_argument, FileError.
  static std::shared_ptr<const ModelFile> open(const std::string& path);
  explicit ModelFile(Mapping mapping);

  // Lives as long as this.
  const ModelContent& content() const { return content_; }
  const Layout& layout() const { return *layout_; }
  bool in_place() const { return copies_.empty(); }

 private:
  struct Part {
    const StoredArray* array;
    int64_t offset;
  };
  std::span<std::byte> arena(const std::vector<Part>& parts, int64_t bytes);
  bool lies_as(const std::vector<Part>& parts, int64_t bytes) const;

  Mapping mapping_;
  Container container_;
  std::unique_ptr<Layout> layout_;
  ModelContent content_;
  std::vector<Arena> copies_;
};

}  // namespace slim
