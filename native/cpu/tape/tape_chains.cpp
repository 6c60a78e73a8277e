// Chains of the tape, found: moving averages, Adam's quotient, sums of many terms.
#include "cpu/tape/tape_chains.h"

#include <algorithm>
#include <utility>

#include "cpu/math.h"

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

// Of the operands, bit i of `scalars` says that operand i is one number.
template <class T, int count, unsigned scalars, class Function>
SLIM_INLINE void run_chain(std::byte* const* dst_bytes, const std::byte* const* src, int64_t n,
                           Function f) {
  constexpr int64_t kStep = kLanes<T>;
  T* dst = reinterpret_cast<T*>(dst_bytes[0]);
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
void blend(std::byte* const* dst, const std::byte* const* src, int64_t n) {
  run_chain<T, 4, 0b1010>(dst, src, n, [](auto& v) { return v[0] * v[1] + v[2] * v[3]; });
}

// a·s + b²·t
template <class T>
void blend_square(std::byte* const* dst, const std::byte* const* src, int64_t n) {
  run_chain<T, 4, 0b1010>(dst, src, n, [](auto& v) { return v[0] * v[1] + (v[2] * v[2]) * v[3]; });
}

// a - b·s / (√c + t)
template <class T>
void quotient(std::byte* const* dst, const std::byte* const* src, int64_t n) {
  run_chain<T, 5, 0b10100>(dst, src, n,
                           [](auto& v) { return v[0] - (v[1] * v[2]) / (sqrt(v[3]) + v[4]); });
}

// Adam whole: m' = m·s0 + g·t0, v' = v·s1 + g²·t1, w - m'·s / (√v' + t); src in this order, g
// once. Division and root are busy all the time: what else there is costs nothing beside them.
template <class T>
void adam(std::byte* const* dst, const std::byte* const* src, int64_t n) {
  constexpr int64_t kStep = kLanes<T>;
  const auto from = [&](int i) { return reinterpret_cast<const T*>(src[i]); };
  const auto to = [&](int i) { return reinterpret_cast<T*>(dst[i]); };
  const T *m = from(0), *g = from(2), *v = from(4), *w = from(7);
  const Vec<T> s0 = load(from(1)), t0 = load(from(3)), s1 = load(from(5)), t1 = load(from(6));
  const Vec<T> s = load(from(8)), t = load(from(9));
  T *weight = to(0), *first = to(1), *second = to(2);
  const auto step = [&](int64_t i, auto put) {
    const Vec<T> slope = load(g + i);
    const Vec<T> mean = load(m + i) * s0 + slope * t0;
    const Vec<T> square = load(v + i) * s1 + (slope * slope) * t1;
    const Vec<T> moved = load(w + i) - (mean * s) / (sqrt(square) + t);
    put(first + i, mean);
    put(second + i, square);
    put(weight + i, moved);
  };
  int64_t i = 0;
  for (; i + kStep <= n; i += kStep) step(i, [](T* at, Vec<T> value) { store(at, value); });
  if (i < n) step(i, [&](T* at, Vec<T> value) { store_partial(at, value, n - i); });
}

// Takes apart the tree that ends in one instruction.
class Tree {
 public:
  Tree(const std::vector<Instruction>& code, const std::vector<bool>& lone,
       const std::vector<TapeRegister>& registers)
      : code_(code), lone_(lone), registers_(registers) {}

  const TapeRegister& at(int32_t reg) const { return registers_[reg]; }
  bool scalar(int32_t reg) const { return at(reg).extent == Extent::scalar; }

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
    return Chain{
        &blend<T>, {first->vector, first->number, second->vector, second->number}, tree.taken, {}};
  }
  return Chain{&blend_square<T>,
               {first->vector, first->number, square->src[0], second->number},
               tree.taken,
               {}};
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
               tree.taken,
               {}};
}

// Both moving averages and the quotient of them, with no other instruction between.
template <class T>
std::optional<Chain> find_adam(const std::vector<Instruction>& code, size_t root, Tree tree) {
  const auto last = find_quotient<T>(code[root], tree);
  if (!last) return std::nullopt;
  const Instruction* mean = tree.take(last->src[1], Operation::add);
  const Instruction* square = tree.take(last->src[3], Operation::add);
  if (mean == nullptr || square == nullptr) return std::nullopt;
  const auto m = find_blend<T>(*mean, tree), v = find_blend<T>(*square, tree);
  if (!m || !v || m->kernel != &blend<T> || v->kernel != &blend_square<T>) return std::nullopt;
  if (m->src[2] != v->src[2]) return std::nullopt;
  std::vector<size_t> inner = tree.taken;
  for (const auto* part : {&*last, &*m, &*v}) {
    inner.insert(inner.end(), part->inner.begin(), part->inner.end());
  }
  std::sort(inner.begin(), inner.end());
  inner.erase(std::unique(inner.begin(), inner.end()), inner.end());
  if (inner.front() + inner.size() != root) return std::nullopt;
  return Chain{&adam<T>,
               {m->src[0], m->src[1], m->src[2], m->src[3], v->src[0], v->src[1], v->src[3],
                last->src[0], last->src[2], last->src[4]},
               inner,
               {mean->dst, square->dst}};
}

// A sum from the left, whose terms may be scaled. What is subtracted is added with the other
// sign, and a term alone times one: both are exact.
template <class T>
std::optional<Chain> find_sum(const Instruction& root, Tree tree) {
  Chain chain{nullptr, {}, {}, {}};
  const auto add_term = [&](int32_t reg, bool minus) {
    const double sign = minus ? -1 : 1;
    const size_t taken = tree.taken.size();
    if (const auto scaled = tree.scaled(tree.take(reg, Operation::mul))) {
      const TapeRegister& number = tree.at(scaled->number);
      const bool known = number.source == TapeRegister::Source::constant;
      if (!minus || known) {
        chain.src.push_back(scaled->vector);
        chain.src.push_back(scaled->number);
        if (minus) chain.numbers.push_back({chain.src.size() - 1, -number.number});
        return;
      }
    }
    tree.taken.resize(taken);
    chain.src.push_back(reg);
    chain.src.push_back(reg);
    chain.numbers.push_back({chain.src.size() - 1, sign});
  };
  const Instruction* sum = &root;
  for (int terms = 1;; ++terms) {
    const int32_t left = sum->src[0], right = sum->src[1];
    if (tree.scalar(left) || tree.scalar(right)) return std::nullopt;
    add_term(right, sum->op == Operation::sub);
    const Instruction* next = nullptr;
    if (terms + 1 < kChainTerms) {
      next = tree.take(left, Operation::add);
      if (next == nullptr) next = tree.take(left, Operation::sub);
      if (next != nullptr && (tree.scalar(next->src[0]) || tree.scalar(next->src[1]))) {
        tree.taken.pop_back();
        next = nullptr;
      }
    }
    if (next == nullptr) {
      add_term(left, false);
      break;
    }
    sum = next;
  }
  const size_t terms = chain.src.size() / 2;
  if (terms < kFewestTerms) return std::nullopt;
  // Found from the right.
  for (size_t i = 0; i < terms / 2; ++i) {
    for (size_t j = 0; j < 2; ++j)
      std::swap(chain.src[2 * i + j], chain.src[2 * (terms - 1 - i) + j]);
  }
  for (ChainNumber& number : chain.numbers) number.operand = 2 * terms - number.operand;
  chain.inner = tree.taken;
  chain.kernel = sum_kernel<T>(terms, false);
  chain.terms = terms;
  return chain;
}

// Such a sum, scaled, that moves a value: x + (…)·t.
template <class T>
std::optional<Chain> find_move(const Instruction& root, Tree tree) {
  for (const size_t side : {1, 0}) {
    const int32_t moved = root.src[1 - side];
    const bool minus = root.op == Operation::sub;
    if ((minus && side == 0) || tree.scalar(moved)) continue;
    Tree rest = tree;
    const auto scaled = rest.scaled(rest.take(root.src[side], Operation::mul));
    if (!scaled) continue;
    const TapeRegister& number = rest.at(scaled->number);
    if (minus && number.source != TapeRegister::Source::constant) continue;
    const Instruction* sum = rest.take(scaled->vector, Operation::add);
    if (sum == nullptr) sum = rest.take(scaled->vector, Operation::sub);
    auto chain = sum == nullptr ? std::nullopt : find_sum<T>(*sum, rest);
    if (!chain) continue;
    chain->kernel = sum_kernel<T>(chain->terms, true);
    chain->moves = true;
    chain->src.insert(chain->src.end(), {moved, scaled->number});
    if (minus) chain->numbers.push_back({chain->src.size() - 1, -number.number});
    return chain;
  }
  return std::nullopt;
}

template <class T>
std::optional<Chain> find(const std::vector<Instruction>& code, size_t root, const Tree& lone,
                          const Tree& once) {
  const bool minus = code[root].op == Operation::sub;
  if (!minus && code[root].op != Operation::add) return std::nullopt;
  auto chain = minus ? find_adam<T>(code, root, once) : find_blend<T>(code[root], lone);
  if (!chain && minus) chain = find_quotient<T>(code[root], lone);
  if (!chain) chain = find_sum<T>(code[root], lone);
  return chain ? chain : find_move<T>(code[root], lone);
}

}  // namespace

std::optional<Chain> find_chain(const std::vector<Instruction>& code, size_t root,
                                const std::vector<bool>& lone, const std::vector<bool>& once,
                                const std::vector<TapeRegister>& registers) {
  const Tree alone(code, lone, registers), single(code, once, registers);
  switch (registers[code[root].dst].dtype) {
    case DType::f32:
      return find<float>(code, root, alone, single);
    case DType::f64:
      return find<double>(code, root, alone, single);
    default:
      return std::nullopt;
  }
}

}  // namespace slim::SLIM_ISA_NAMESPACE
