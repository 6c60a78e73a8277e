// Format 2: programs, their arrays and what belongs to them, in one safetensors file.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "file/container.h"
#include "file/mapping.h"
#include "runtime/plan/layout.h"

namespace slim {

// The arrays of the file are parameters and states by their names, slots as
// "fc1/weights#adam/m", those of the second program as "#1/fc1/weights", and further ones as
// "#array/…". In its metadata stand
//   slimlearn.format     "2.3"; older ones are "2", without an estimator and of one program, "2.1",
//                        without outputs, and "2.2", without sha256. A reader takes newer ones of
//                        its first number, and leaves keys that it does not know alone
//   slimlearn.program    the text; of further programs slimlearn.program.1 and on
//   slimlearn.meta       JSON of a closed schema: {"inputs": [{"name": "num", "source": "X",
//                        "type": "f32[B,2]", "columns": ["age", "fare"]}]}, all but name optional
//   slimlearn.fit        of a checkpoint: JSON of its writer
//   slimlearn.estimator  JSON of its writer, too: what is around the programs
//   slimlearn.outputs    JSON of a closed schema (file/outputs.h): what an estimator's methods make
//                        of the program's numbers
//   slimlearn.checksums  JSON: XXH64 of every array by its name, of "#program", "#meta", "#fit" …
//   slimlearn.sha256     of the whole file (file/digest.h), compared for those who ask for it
struct StoredProgram {
  std::string text;
  std::span<std::byte> params;  // as long as the layout says
  std::span<std::byte> state;
  std::span<std::byte> slots;  // empty: none
};

struct ModelContent {
  std::vector<StoredProgram> programs;
  std::string meta = "{}";
  std::string fit;        // empty: none
  std::string estimator;  // empty: none
  std::vector<StoredArray> further;
  std::string outputs = {};  // empty: none

  // The first one. Throws std::invalid_argument where there is none.
  const StoredProgram& program() const;
};

// The file in pieces, which last for the call alone. Throws std::invalid_argument.
void with_pieces(const ModelContent& content,
                 const std::function<void(const std::vector<std::string_view>&)>& take);
// Throws std::invalid_argument, FileError.
void save(const ModelContent& content, const std::string& path);

// What a file holds, all of it checked; the arenas lie in the mapping where that holds them as
// the layout does, and are writable: no one else sees it.
class ModelFile {
 public:
  // `sealed`: it has to tell its SHA-256, and to have it. Throws std::invalid_argument, FileError.
  static std::shared_ptr<ModelFile> open(const std::string& path, bool sealed = false);
  explicit ModelFile(Mapping mapping, bool sealed = false);

  // Lives as long as this.
  const ModelContent& content() const { return content_; }
  // Whether it was written by a later version, whose additions were left alone.
  bool is_newer() const { return is_newer_; }
  bool in_place() const { return copies_.empty(); }
  // The first program, parsed: for one who goes on with it, as this needs it no more. Throws
  // std::invalid_argument where there is none.
  Program take_program();

 private:
  struct Part {
    const StoredArray* array;
    int64_t offset;
  };
  std::span<std::byte> arena(const std::vector<Part>& parts, int64_t bytes);
  bool lies_as(const std::vector<Part>& parts, int64_t bytes) const;

  using ByName = std::map<std::string, const StoredArray*>;
  void read_program(StoredProgram& stored, const std::string& prefix, ByName& arrays);

  Mapping mapping_;
  Container container_;
  bool is_newer_ = false;
  ModelContent content_;
  std::vector<Arena> copies_;
  std::optional<Program> first_;  // until it is taken
};

}  // namespace slim
