// Chains of the tape: moving averages and Adam's quotient.
#include "cpu/tape_chains.h"

#include "cpu/math.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// Of the operands, bit i of `scalars` says that operand i is one number.
template <class T, int count, unsigned scalars, class Function>
SLIM_INLINE void run_chain(std::byte* dst_bytes, const std::byte* const* src, int64_t n,
                           Function f) {
  constexpr int64_t kStep = kLanes<T>;
  T* dst = reinterpret_cast<T*>(dst_bytes);
  const T* from[count];
  Vec<T> number[count];
#pragma GCC unroll 8
  for (int i = 0; i < count; ++i) {
    from[i] = reinterpret_cast<const T*>(src[i]);
    number[i] = load(from[i]);
  }
  const auto value = [&](int64_t at) {
    Vec<T> v[count];
#pragma GCC unroll 8
    for (int i = 0; i < count; ++i) {
      v[i] = (scalars >> i & 1) != 0 ? number[i] : load(from[i] + at);
    }
    return f(v);
  };
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) store(dst + i, value(i));
  if (i < n) store_partial(dst + i, value(i), n - i);
}

// a·s + b·t
template <class T>
void blend(std::byte* dst, const std::byte* const* src, int64_t n) {
  run_chain<T, 4, 0b1010>(dst, src, n, [](auto& v) { return v[0] * v[1] + v[2] * v[3]; });
}

// a·s + b²·t
template <class T>
void blend_square(std::byte* dst, const std::byte* const* src, int64_t n) {
  run_chain<T, 4, 0b1010>(dst, src, n, [](auto& v) { return v[0] * v[1] + (v[2] * v[2]) * v[3]; });
}

// a - b·s / (√c + t)
template <class T>
void quotient(std::byte* dst, const std::byte* const* src, int64_t n) {
  run_chain<T, 5, 0b10100>(dst, src, n,
                           [](auto& v) { return v[0] - (v[1] * v[2]) / (sqrt(v[3]) + v[4]); });
}

// Takes apart the tree that ends in one instruction.
class Tree {
 public:
  Tree(const std::vector<Instruction>& code, const std::vector<bool>& lone,
       const std::vector<TapeRegister>& registers)
      : code_(code), lone_(lone), registers_(registers) {}

  bool scalar(int32_t reg) const { return registers_[reg].extent == Extent::scalar; }

  // The instruction `op` that computes `reg`, taken along.
  const Instruction* take(int32_t reg, Operation op) {
    for (size_t i = 0; i < code_.size(); ++i) {
      if (code_[i].dst != reg) continue;
      if (code_[i].op != op || !lone_[i]) return nullptr;
      taken.push_back(i);
      return &code_[i];
    }
    return nullptr;
  }

  // (vector, scalar) of a sum or product of the two.
  struct Scaled {
    int32_t vector, number;
  };
  std::optional<Scaled> scaled(const Instruction* instruction) const {
    if (instruction == nullptr) return std::nullopt;
    const int32_t a = instruction->src[0], b = instruction->src[1];
    if (scalar(a) == scalar(b)) return std::nullopt;
    return scalar(a) ? Scaled{b, a} : Scaled{a, b};
  }

  std::vector<size_t> taken;

 private:
  const std::vector<Instruction>& code_;
  const std::vector<bool>& lone_;
  const std::vector<TapeRegister>& registers_;
};

template <class T>
std::optional<Chain> find_blend(const Instruction& root, Tree tree) {
  const auto first = tree.scaled(tree.take(root.src[0], Operation::mul));
  const auto second = tree.scaled(tree.take(root.src[1], Operation::mul));
  if (!first || !second) return std::nullopt;
  const Instruction* square = tree.take(second->vector, Operation::square);
  if (square == nullptr) {
    return Chain{&blend<T>,
                 {first->vector, first->number, second->vector, second->number, first->vector},
                 tree.taken};
  }
  return Chain{&blend_square<T>,
               {first->vector, first->number, square->src[0], second->number, first->vector},
               tree.taken};
}

template <class T>
std::optional<Chain> find_quotient(const Instruction& root, Tree tree) {
  const Instruction* division = tree.take(root.src[1], Operation::div);
  if (division == nullptr || tree.scalar(root.src[0])) return std::nullopt;
  const auto above = tree.scaled(tree.take(division->src[0], Operation::mul));
  const auto below = tree.scaled(tree.take(division->src[1], Operation::add));
  if (!above || !below) return std::nullopt;
  const Instruction* root_of = tree.take(below->vector, Operation::sqrt);
  if (root_of == nullptr) return std::nullopt;
  return Chain{&quotient<T>,
               {root.src[0], above->vector, above->number, root_of->src[0], below->number},
               tree.taken};
}

template <class T>
std::optional<Chain> find(const Instruction& root, const Tree& tree) {
  if (root.op == Operation::add) return find_blend<T>(root, tree);
  if (root.op == Operation::sub) return find_quotient<T>(root, tree);
  return std::nullopt;
}

}  // namespace

std::optional<Chain> find_chain(const std::vector<Instruction>& code, size_t root,
                                const std::vector<bool>& lone,
                                const std::vector<TapeRegister>& registers) {
  const Tree tree(code, lone, registers);
  switch (registers[code[root].dst].dtype) {
    case DType::f32:
      return find<float>(code[root], tree);
    case DType::f64:
      return find<double>(code[root], tree);
    default:
      return std::nullopt;
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
