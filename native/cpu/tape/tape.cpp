// Prepares a tape: a kernel for every instruction, a place for every register.
#include "cpu/tape/tape.h"

#include <algorithm>
#include <optional>

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int64_t kPad = kAlignment;
constexpr int64_t kLongRow = 64;  // for which a call a step is worth it

int64_t round_up(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Whether a result that others see would be lost.
bool hides(const Chain& chain, const std::vector<Instruction>& code,
           const std::vector<bool>& yielded) {
  return std::any_of(chain.inner.begin(), chain.inner.end(), [&](size_t i) {
    const int32_t dst = code[i].dst;
    return yielded[dst] && std::find(chain.also.begin(), chain.also.end(), dst) == chain.also.end();
  });
}

}  // namespace

TapeRunner::TapeRunner(const Binding& binding, const Graph& region, std::vector<Buffer> operands,
                       std::vector<Buffer> results, SpaceSplit split)
    : tape_(build_tape(binding, region, operands, results, split)),
      operands_(std::move(operands)),
      results_(std::move(results)) {
  compile(binding);
  place_results();
  find_next();
  allocate();
  measure();
}

bool TapeRunner::computed(int32_t reg) const {
  return tape_.registers[reg].source == TapeRegister::Source::computed;
}

int32_t TapeRunner::add_register(DType dtype, Extent extent) {
  TapeRegister reg;
  reg.dtype = dtype;
  reg.extent = extent;
  tape_.registers.push_back(reg);
  return static_cast<int32_t>(tape_.registers.size()) - 1;
}

int32_t TapeRunner::add_number(DType dtype, double number) {
  const int32_t reg = add_register(dtype, Extent::scalar);
  tape_.registers[reg].source = TapeRegister::Source::constant;
  tape_.registers[reg].number = number;
  return reg;
}

// The register that code of `extent` reads for `reg`: a row or a column is spread first.
int32_t TapeRunner::at(int32_t reg, Extent extent) {
  const TapeRegister source = tape_.registers[reg];
  if (source.extent == Extent::scalar || source.extent == extent) return reg;
  auto& spreads = source.extent == Extent::row ? spread_rows_ : spread_columns_;
  for (const Spread& spread : spreads) {
    if (spread.from == reg) return spread.to;
  }
  spreads.push_back({reg, add_register(source.dtype, Extent::full), size_of(source.dtype)});
  return spreads.back().to;
}

TapeRunner::Step TapeRunner::step(const Binding& binding, const Instruction& instruction,
                                  Extent extent) {
  const int32_t typed = instruction.op == Operation::select ? 1 : 0;
  const DType from = tape_.registers[instruction.src[typed]].dtype;
  int32_t src[3];
  unsigned scalars = 0;
  for (int i = 0; i < 3; ++i) {
    src[i] = instruction.src[i] < 0 ? instruction.src[0] : instruction.src[i];
    if (extent != Extent::scalar && instruction.src[i] >= 0 &&
        tape_.registers[src[i]].extent == Extent::scalar) {
      scalars |= 1u << i;
    }
    src[i] = at(src[i], extent);
  }
  const DType to = tape_.registers[instruction.dst].dtype;
  const TapeKernel kernel = tape_kernel(instruction.op, from, to, scalars);
  if (kernel == nullptr) {
    binding.refuse(std::string("no elementwise kernel for operands of type ") + name_of(from));
  }
  return {kernel, instruction.dst, {src[0], src[1], src[2]}};
}

void TapeRunner::compile(const Binding& binding) {
  for (size_t reg = 0; reg < tape_.registers.size(); ++reg) {
    const TapeRegister& source = tape_.registers[reg];
    if (source.source != TapeRegister::Source::operand) continue;
    const Place place{static_cast<int32_t>(reg), operands_[source.operand], size_of(source.dtype)};
    const bool apart = place.buffer.row_stride > 0 && source.extent != Extent::scalar;
    auto& places = !source.strides.empty()           ? gathers_
                   : source.repeat > 1               ? repeats_
                   : apart                           ? apart_
                   : source.extent == Extent::full   ? blocks_
                   : source.extent == Extent::row    ? rows_
                   : source.extent == Extent::column ? columns_
                                                     : scalars_;
    places.push_back(place);
  }
  // Blocks of several rows would copy the rows together that lie apart. Sums go by blocks.
  single_rows_ = tape_.sums.empty() && tape_.space.n >= kLongRow && !apart_.empty() &&
                 std::all_of(apart_.begin(), apart_.end(), [&](const Place& place) {
                   return tape_.registers[place.reg].extent == Extent::full &&
                          place.buffer.dims.back() == tape_.space.n;
                 });
  for (const Extent extent : {Extent::scalar, Extent::row, Extent::column}) {
    for (const Instruction& instruction : tape_.code[static_cast<int>(extent)]) {
      steps_[static_cast<int>(extent)].push_back(step(binding, instruction, extent));
    }
  }
  compile_blocks(binding);
  for (const Instruction& instruction : tape_.finale) {
    finale_.push_back(step(binding, instruction, Extent::scalar));
  }
}

// The instructions over whole blocks; those whose only reader can take them along join it.
void TapeRunner::compile_blocks(const Binding& binding) {
  const std::vector<Instruction>& code = tape_.code[static_cast<int>(Extent::full)];
  std::vector<int> readers(tape_.registers.size(), 0);
  std::vector<bool> yielded(tape_.registers.size(), false);
  for (const Instruction& instruction : code) {
    for (const int32_t src : instruction.src) {
      if (src >= 0) ++readers[src];
    }
  }
  for (const int32_t reg : tape_.yields) yielded[reg] = true;
  for (const Tape::Sum& sum : tape_.sums) readers[sum.src] += 2;

  std::vector<std::optional<Step>> steps(code.size());
  std::vector<bool> single(code.size(), true);  // not joined with another
  for (size_t i = code.size(); i-- > 0;) {
    if (!single[i]) continue;
    std::vector<bool> once(code.size(), false), lone(code.size(), false);
    bool stored = false;  // going back past a store could read what that store replaced
    for (size_t j = i; j-- > 0;) {
      stored = stored || yielded[code[j].dst];
      once[j] = single[j] && readers[code[j].dst] == 1;
      lone[j] = once[j] && !stored;
    }
    auto chain = find_chain(code, i, lone, once, tape_.registers);
    if (!chain || hides(*chain, code, yielded)) continue;
    steps[i] = Step{nullptr,     code[i].dst,  std::move(chain->src), chain->kernel,
                    chain->also, chain->terms, chain->moves};
    for (const ChainNumber& number : chain->numbers) {
      steps[i]->src[number.operand] = add_number(tape_.registers[code[i].dst].dtype, number.value);
    }
    for (int32_t& src : steps[i]->src) src = at(src, Extent::full);
    single[i] = false;
    for (const size_t j : chain->inner) single[j] = false;
  }
  for (size_t i = 0; i < code.size(); ++i) {
    if (!single[i]) continue;
    for (int side = 0; side < 2 && !steps[i]; ++side) {
      const int32_t src = code[i].src[side];
      if (src < 0 || readers[src] != 1 || yielded[src]) continue;
      for (size_t j = i; j-- > 0 && (j + 1 == i || !yielded[code[j + 1].dst]);) {
        if (code[j].dst != src) continue;
        Step joined;
        if (single[j] && join(code, j, i, side, &joined)) {
          steps[i] = joined;
          steps[j].reset();
          single[i] = single[j] = false;
        }
        break;
      }
    }
    if (!steps[i]) steps[i] = step(binding, code[i], Extent::full);
  }
  for (const auto& step : steps) {
    if (step) steps_[static_cast<int>(Extent::full)].push_back(*step);
  }
}

// `second` reads `first` as its operand `side`.
bool TapeRunner::join(const std::vector<Instruction>& code, size_t first, size_t second, int side,
                      Step* joined) {
  const auto is_scalar = [&](int32_t reg) { return tape_.registers[reg].extent == Extent::scalar; };
  const Instruction& inner = code[first];
  const Instruction& outer = code[second];
  const int32_t other = outer.src[1 - side];
  if (other < 0) return false;
  int32_t a = inner.src[0], b = inner.src[1] < 0 ? inner.src[0] : inner.src[1];
  if (is_scalar(a) && (inner.op == Operation::add || inner.op == Operation::mul)) std::swap(a, b);
  const unsigned scalars =
      (is_scalar(a) ? 1u : 0u) | (is_scalar(b) ? 2u : 0u) | (is_scalar(other) ? 4u : 0u);
  const TapeKernel kernel =
      tape_pair_kernel(inner.op, outer.op, side == 1, tape_.registers[inner.dst].dtype, scalars);
  if (kernel == nullptr) return false;
  a = at(a, Extent::full);
  *joined = {kernel, outer.dst, {a, at(b, Extent::full), at(other, Extent::full)}};
  return true;
}

// A whole value is computed straight into its result's memory if its rows follow each other, or
// if blocks are rows and nothing is read any more; the others are copied.
void TapeRunner::place_results() {
  in_place_.assign(tape_.registers.size(), false);
  for (size_t i = 0; i < results_.size(); ++i) {
    const int32_t reg = tape_.yields[i];
    const Extent extent = tape_.yield_extents[i];
    const DType dtype = tape_.registers[reg].dtype;
    if (extent == Extent::full && tape_.registers[reg].extent == Extent::full && computed(reg) &&
        !in_place_[reg] && results_[i].row_stride == 0) {
      in_place_[reg] = true;
      blocks_.push_back({reg, results_[i], size_of(dtype)});
      continue;
    }
    if (single_rows_ && extent == Extent::full && computed(reg) && !in_place_[reg] &&
        !steps_[3].empty() && steps_[3].back().dst == reg &&
        results_[i].dims.back() == tape_.space.n) {
      in_place_[reg] = true;
      apart_.push_back({reg, results_[i], size_of(dtype)});
      continue;
    }
    const unsigned scalar =
        extent != Extent::scalar && tape_.registers[reg].extent == Extent::scalar;
    stores_.push_back({at(reg, extent), results_[i], extent,
                       tape_kernel(Operation::copy, dtype, dtype, scalar), scalar != 0,
                       size_of(dtype)});
  }
  in_place_.resize(tape_.registers.size(), false);
}

// Of single rows, those that are neither spread nor copied: a stencil's.
void TapeRunner::find_next() {
  const bool plain = single_rows_ && stores_.empty() && columns_.empty() && repeats_.empty() &&
                     gathers_.empty() && spread_columns_.empty() &&
                     steps_[static_cast<int>(Extent::column)].empty();
  if (!plain) return;
  for (const Place& place : blocks_) next_.push_back({place.reg, tape_.space.n * place.size});
  for (const Place& place : apart_) {
    next_.push_back({place.reg, place.buffer.row_stride * place.size});
  }
  const std::vector<Step>& steps = steps_[static_cast<int>(Extent::full)];
  if (steps.size() != 1 || steps[0].terms == 0 ||
      tape_.registers[steps[0].dst].dtype != DType::f32) {
    return;
  }
  const auto moves_alike = [&](const Next& next) { return next.bytes == next_[0].bytes; };
  const auto moves = [&](int32_t reg) {
    return std::any_of(next_.begin(), next_.end(),
                       [&](const Next& next) { return next.reg == reg; });
  };
  bool alike = std::all_of(next_.begin(), next_.end(), moves_alike) && moves(steps[0].dst);
  for (size_t i = 0; i < steps[0].src.size(); i += 2) alike = alike && moves(steps[0].src[i]);
  if (alike) sum_step_ = next_[0].bytes;
}

int64_t TapeRunner::reserve(int64_t bytes) {
  const int64_t offset = local_bytes_;
  local_bytes_ += round_up(bytes);
  return offset;
}

// Slots in `local`. Those of whole values are reused as soon as their value is dead.
void TapeRunner::allocate() {
  const int32_t count = static_cast<int32_t>(tape_.registers.size());
  local_bytes_ = round_up(count * static_cast<int64_t>(sizeof(std::byte*)));
  slot_.assign(count, -1);
  std::vector<bool> pooled(count, false);
  for (const Step& step : steps_[3]) {
    for (const int32_t dst : step.results()) pooled[dst] = !in_place_[dst];
  }
  for (int32_t reg = 0; reg < count; ++reg) {
    const TapeRegister& r = tape_.registers[reg];
    const bool in_memory = r.source == TapeRegister::Source::operand && r.strides.empty() &&
                           r.repeat == 1 && r.extent != Extent::scalar &&
                           operands_[r.operand].row_stride == 0;
    if (in_memory || in_place_[reg] || pooled[reg]) continue;
    const int64_t elements = r.extent == Extent::scalar ? kScalarCopies : kTapeBlock;
    slot_[reg] = reserve(elements * size_of(r.dtype) + kPad);
  }
  for (size_t i = 0; i < tape_.sums.size(); ++i) {
    sum_slot_.push_back(reserve((kTapeCells + 1) * static_cast<int64_t>(sizeof(double))));
  }

  std::vector<size_t> last_use(count, 0);
  for (size_t i = 0; i < steps_[3].size(); ++i) {
    for (const int32_t src : steps_[3][i].src) last_use[src] = i;
  }
  for (const Store& store : stores_) last_use[store.reg] = steps_[3].size();
  for (const Tape::Sum& sum : tape_.sums) last_use[sum.src] = steps_[3].size();
  std::vector<std::pair<int64_t, int64_t>> free;  // (size of an element, slot)
  for (size_t i = 0; i < steps_[3].size(); ++i) {
    const Step& step = steps_[3][i];
    for (const int32_t src : step.src) {
      if (!pooled[src] || last_use[src] != i) continue;
      pooled[src] = false;  // once
      free.push_back({size_of(tape_.registers[src].dtype), slot_[src]});
    }
    for (const int32_t dst : step.results()) {
      if (in_place_[dst]) continue;
      const int64_t size = size_of(tape_.registers[dst].dtype);
      const auto found = std::find_if(free.begin(), free.end(),
                                      [&](const auto& slot) { return slot.first == size; });
      if (found != free.end()) {
        slot_[dst] = found->second;
        free.erase(found);
      } else {
        slot_[dst] = reserve(kTapeBlock * size + kPad);
      }
    }
  }
}

void TapeRunner::measure() {
  for (const Instruction& instruction : tape_.code[3]) flops_ += flops_of(instruction.op);
  for (const Place& place : blocks_) bytes_ += static_cast<double>(place.size);
  for (const Place& place : apart_) {
    if (tape_.registers[place.reg].extent == Extent::full)
      bytes_ += static_cast<double>(place.size);
  }
  for (const Store& store : stores_) {
    if (store.extent == Extent::full) bytes_ += static_cast<double>(size_of(store.buffer.dtype));
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
