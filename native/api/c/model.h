// What the doors of slim.h share: a loaded model, its methods, and errors as a status.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "file/outputs.h"
#include "include/slim.h"
#include "runtime/call/packed.h"
#include "runtime/data/source.h"
#include "runtime/plan/model.h"

struct slim_model {
  // Throws std::invalid_argument, slim::FileError.
  slim_model(std::shared_ptr<slim::ModelFile> opened, const slim_limits& limits);

  slim::Arrays arrays() const;
  const slim::StoredProgram& stored() const { return file->content().program(); }
  // By its name. Throws std::invalid_argument that lists those there are.
  const slim::Outputs::Method& method(const std::string& name) const;

  slim_limits limits;
  std::shared_ptr<const slim::ModelFile> file;
  std::shared_ptr<const slim::Model> model;
  slim::Outputs outputs;
  std::map<std::string, slim::Outputs::Method> methods;
  std::map<std::string, std::vector<std::string>> columns;  // of a source, where the file tells
  std::map<std::string, int64_t> widths;                    // how many a source has, likewise
  // Of the arrays as they are between two trainings.
  std::shared_ptr<slim::PackedArrays> packed = std::make_shared<slim::PackedArrays>();
  slim::Arena gradient;
  slim::Arena slots;  // where the file has none
  uint64_t epoch = 0;
  int64_t step = 0;
  uint64_t trained = 0;  // how often the arrays were written to
};

namespace slim::c {

slim_status failed(slim_status status, const char* why) noexcept;

// No exception leaves a function of slim.h.
template <class Call>
slim_status guarded(const Call& call) noexcept {
  try {
    call();
    return SLIM_OK;
  } catch (const std::invalid_argument& error) {
    return failed(SLIM_INVALID, error.what());
  } catch (const FileError& error) {
    return failed(SLIM_SYSTEM, error.what());
  } catch (const std::bad_alloc&) {
    return failed(SLIM_MEMORY, "not enough memory");
  } catch (const std::exception& error) {
    return failed(SLIM_INTERNAL, error.what());
  } catch (...) {
    return failed(SLIM_INTERNAL, "an unknown error");
  }
}

void require(bool given, const char* what);
// Throws std::invalid_argument where one of them cannot be read.
std::vector<Source> sources_of(const slim_array* arrays, size_t count);
// What is left once shape and pointers are known to be there.
CsrArrays csr_of(const slim_array& array, int64_t rows);
// Throws where the status says that ids or labels were out of range.
void refuse_bad_data(uint32_t status);
slim_type type_of(DType dtype);
// Throws where an array has no data, an unknown type or an impossible shape.
void check(const slim_array& array);

}  // namespace slim::c
