// The one rule of layout, which backend/arena.py follows too.
#include "runtime/plan/layout.h"

#include <stdexcept>

#include "ir/verify.h"
#include "runtime/plan/arena.h"

namespace slim {
namespace {

int64_t byte_count(const Declaration& declaration) {
  int64_t bytes = size_of(declaration.type.dtype);
  for (const Dim& dim : declaration.type.dims) {
    if (__builtin_mul_overflow(bytes, dim.evaluate({}), &bytes)) {
      throw std::invalid_argument("[" + declaration.name + "] " + to_string(declaration.type) +
                                  " is larger than any memory");
    }
  }
  return bytes;
}

int64_t append(int64_t& total, int64_t bytes) {
  const int64_t offset = total;
  int64_t padded = 0;
  if (__builtin_add_overflow(bytes, kAlignment - 1, &padded) ||
      __builtin_add_overflow(total, padded / kAlignment * kAlignment, &total)) {
    throw std::invalid_argument("the arrays of this program are larger than any memory");
  }
  return offset;
}

// A network without parameters has that of its update.
DType precision_of(const Program& program) {
  for (const Declaration& declaration : program.declarations) {
    if (declaration.kind != DeclarationKind::hyper) return declaration.type.dtype;
  }
  for (const Function& function : program.functions) {
    const Graph& graph = function.graph;
    if (!is_update(function.name) || graph.returns.empty()) continue;
    return graph.values[static_cast<size_t>(graph.returns[0])].type.dtype;
  }
  return DType::f32;
}

}  // namespace

Layout::Layout(const Program& program)
    : places(program.declarations.size()), precision(precision_of(program)) {
  for (size_t i = 0; i < places.size(); ++i) {
    const Declaration& declaration = program.declarations[i];
    Place& place = places[i];
    place.dtype = declaration.type.dtype;
    if (declaration.kind == DeclarationKind::slot) continue;
    place.bytes = byte_count(declaration);
    if (declaration.kind == DeclarationKind::param) {
      place.base = Base::param;
      place.offset = append(param_bytes, place.bytes);
    } else if (declaration.kind == DeclarationKind::state) {
      place.base = Base::state;
      place.offset = append(state_bytes, place.bytes);
    } else {
      place.base = Base::hyper;
      place.offset = append(hyper_bytes, place.bytes);
    }
  }
  for (size_t i = 0; i < places.size(); ++i) {
    if (program.declarations[i].kind != DeclarationKind::slot) continue;
    places[i].base = Base::slot;
    places[i].bytes = param_bytes;
    places[i].offset = append(slot_bytes, param_bytes);
  }
}

Layout Layout::resized(int64_t bytes) const {
  Layout changed = *this;
  changed.param_bytes = bytes;
  changed.slot_bytes = 0;
  for (Place& place : changed.places) {
    if (place.base != Base::slot) continue;
    place.bytes = bytes;
    place.offset = append(changed.slot_bytes, bytes);
  }
  return changed;
}

}  // namespace slim
