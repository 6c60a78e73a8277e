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
    return &micro<Vec<T>, rows, vectors>;
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

template <class T, int... rows>
constexpr std::array<MicroKernel<T>, kMostRows> half_table(std::integer_sequence<int, rows...>) {
  if constexpr (kHalves) {
    return {&micro<HalfVec<T>, rows + 1, 1>...};
  } else {
    return {};
  }
}

constexpr auto kRows = std::make_integer_sequence<int, kMostRows>{};
template <class T>
constexpr MicroTables<T> kTables = {table<T>(kRows), half_table<T>(kRows)};

}  // namespace

template <>
const MicroTables<float>& micro_tables<float>() {
  return kTables<float>;
}

template <>
const MicroTables<double>& micro_tables<double>() {
  return kTables<double>;
}

}  // namespace slim::SLIM_ISA_NAMESPACE
