// Softmax and its losses: a team of threads for each row of the last axis. Rows may lie apart.
#pragma once
#include "cuda/kernels/reduce.cuh"

namespace slim {

template <class T>
struct Rows {
  T* data;
  long long stride;

  __device__ T* row(long long i) const { return data + i * stride; }
};

// What a team knows of its row; teams without one look at the first, and store nothing.
template <class T, class Team>
struct TeamRow {
  const T* src;
  long long row;
  int width;
  bool stores;

  __device__ TeamRow(Rows<const T> logits, long long rows, int width) : width(width) {
    row = block() * Team::across + Team::number();
    stores = row < rows;
    if (!stores) row = 0;
    src = logits.row(row);
  }

  __device__ T largest() const {
    T most = Max<T>::start();
    for (int j = Team::lane(); j < width; j += Team::down) most = larger(src[j], most);
    return Team::template fold<Max<T>>(most);
  }
  // Of exp(x - shift), but for one class.
  __device__ T sum_exp(T shift, int without = -1) const {
    T sum = 0;
    for (int j = Team::lane(); j < width; j += Team::down) {
      if (j != without) sum += exp_of(src[j] - shift);
    }
    return Team::template fold<Add<T>>(sum);
  }
  // each(j) for this thread's elements.
  template <class Each>
  __device__ void store(const Each& each) const {
    if (!stores) return;
    for (int j = Team::lane(); j < width; j += Team::down) each(j);
  }
  __device__ bool first() const { return stores && Team::lane() == 0; }

  __device__ int label(const int32_t* labels, Facts* facts) const {
    const int given = labels[row];
    if (given >= 0 && given < width) return given;
    if (first()) raise(facts, 2);  // kBadLabel
    return given < 0 ? 0 : width - 1;
  }
};

template <class T, class Team>
__device__ void softmax(Rows<const T> src, Rows<T> dst, long long rows, int width) {
  if (block() * Team::across >= rows) return;
  const TeamRow<T, Team> team(src, rows, width);
  const T shift = team.largest();
  const T scale = T(1) / team.sum_exp(shift);
  T* const to = dst.row(team.row);
  team.store([=](int j) { to[j] = exp_of(team.src[j] - shift) * scale; });
}

template <class T, class Team>
__device__ void log_softmax(Rows<const T> src, Rows<T> dst, long long rows, int width) {
  if (block() * Team::across >= rows) return;
  const TeamRow<T, Team> team(src, rows, width);
  const T shift = finite_shift(team.largest());
  const T log_sum = log_of(team.sum_exp(shift));
  T* const to = dst.row(team.row);
  team.store([=](int j) { to[j] = (team.src[j] - shift) - log_sum; });
}

// With s the shift, r the sum of exp(z_j - s) over all classes but the label:
//   loss = log1p(r + (exp(z_label - s) - 1)) + (s - z_label)
template <class T, class Team>
__device__ void sparse_loss(Facts* facts, Rows<const T> logits, const int32_t* labels, T* losses,
                            long long rows, int width) {
  if (block() * Team::across >= rows) return;
  const TeamRow<T, Team> team(logits, rows, width);
  const int label = team.label(labels, facts);
  const T shift = finite_shift(team.largest());
  const T rest = team.sum_exp(shift, label), z = team.src[label];
  if (!team.first()) return;
  losses[team.row] = log1p_of(rest + (exp_of(z - shift) - T(1))) + (shift - z);
}

// (softmax(logits) - one_hot(labels)) · slope
template <class T, class Team>
__device__ void sparse_loss_grad(Facts* facts, Rows<const T> logits, const int32_t* labels,
                                 const T* slopes, Rows<T> dst, long long rows, int width) {
  if (block() * Team::across >= rows) return;
  const TeamRow<T, Team> team(logits, rows, width);
  const int label = team.label(labels, facts);
  const T shift = team.largest();
  const T scale = T(1) / team.sum_exp(shift), slope = slopes[team.row];
  T* const to = dst.row(team.row);
  team.store([=](int j) {
    const T p = exp_of(team.src[j] - shift) * scale;
    to[j] = (j == label ? p - T(1) : p) * slope;
  });
}

// -sum(labels · log(softmax(logits)))
template <class T, class Team>
__device__ void dense_loss(Rows<const T> logits, Rows<const T> labels, T* losses, long long rows,
                           int width) {
  if (block() * Team::across >= rows) return;
  const TeamRow<T, Team> team(logits, rows, width);
  const T shift = finite_shift(team.largest());
  const T log_sum = log_of(team.sum_exp(shift));
  const T* const weights = labels.row(team.row);
  T sum = 0;
  for (int j = Team::lane(); j < width; j += Team::down) {
    sum += weights[j] * ((team.src[j] - shift) - log_sum);
  }
  sum = Team::template fold<Add<T>>(sum);
  if (team.first()) losses[team.row] = -sum;
}

}  // namespace slim
