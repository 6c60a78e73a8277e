// The table of register tiles.
#include "cpu/gemm/micro.h"

#include <utility>

namespace slim::SLIM_ISA_NAMESPACE {

namespace {

constexpr int rows_for(int vectors) {
  while (most_rows(vectors) == 0) ++vectors;
  return most_rows(vectors);
}

template <class T, int rows, int vectors>
constexpr MicroKernel<T> entry() {
  if constexpr (rows <= rows_for(vectors)) {
    return &micro<T, rows, vectors>;
  } else {
    return nullptr;
  }
}

template <class T, int rows, int... vectors>
constexpr std::array<MicroKernel<T>, kMostVectors> row(std::integer_sequence<int, vectors...>) {
  return {entry<T, rows, vectors + 1>()...};
}

template <class T, int... rows>
constexpr MicroTable<T> table(std::integer_sequence<int, rows...>) {
  return {row<T, rows + 1>(std::make_integer_sequence<int, kMostVectors>{})...};
}

template <class T>
constexpr MicroTable<T> kTable = table<T>(std::make_integer_sequence<int, kMostRows>{});

}  // namespace

template <>
const MicroTable<float>& micro_table<float>() {
  return kTable<float>;
}

template <>
const MicroTable<double>& micro_table<double>() {
  return kTable<double>;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
