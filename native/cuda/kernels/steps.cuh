// What a step of training does beside the network: its numbers, its rows, its verdict.
#pragma once
#include "cuda/kernels/convert.cuh"
#include "cuda/kernels/facts.cuh"

namespace slim {

// Of an epoch, from run to run. What `refused` says stays: no later step changes anything.
struct StepState {
  long long next;   // the step to run
  long long first;  // the step whose numbers are the first row of the table of rates
  long long done;   // steps before that one, in all epochs
  double loss_sum;
  double weight_sum;
  double scale;         // of the gradient, where its norm is clipped
  unsigned int status;  // of the step that was refused
  int finite;           // its objective
  int refused;
  unsigned int bad;  // 1 where this step's gradient has a value that is not finite
  long long part;    // of the step's rows, that is next or runs
  long long counts;  // 1 where the step updates
};

// Some of a step's rows: where they begin in its batch.
struct StepPart {
  long long offset;
  long long rows;
};

// What the parts of a step returned, so far.
struct StepSums {
  double objective, loss, weight, updates;
};

// Where a number of the step goes: base + scale · it.
struct StepTarget {
  double* place;
  double base;
  double scale;
  long long column;  // of the table; -1: which step it is, from 1 on; -2: rows of its batch
};

// How a number is read from one of its row's codes: its upper bits are a knot of the curve that
// begins there, the lower ones how far it is to the knot behind it.
struct StepCode {
  long long column, begin, bits;
};

// Elements of a parameter of which one block takes the sums that its update reads, and the hypers
// of that.
struct StepStretch {
  long long begin, length;
  char* hypers;
};

// A sum: those of so many stretches, the `place`-th of each; and where the update reads it.
struct StepSum {
  long long first, count, place;
  double* to;
};

// A stretch of the gradient that one block looks at.
struct StepChunk {
  void* gradient;
  const void* weights;
  long long length;       // elements
  const double* penalty;  // l1 and l2, that are added before clipping; null: none
};

// Rows of the batch that is next.
__device__ inline long long rows_of_step(const StepState* state, long long batch, long long steps,
                                         long long last_rows) {
  return state->next + 1 == steps ? last_rows : batch;
}

// Before all other kernels of a step, by one block.
__device__ inline void begin_step(Facts* facts, StepState* state, const double* rates,
                                  long long columns, const StepTarget* targets, int count,
                                  long long batch, long long steps, long long last_rows) {
  if (threadIdx.x == 0) state->part = -1;
  if (state->refused) return;
  const long long step = state->next, row = step - state->first;
  const long long rows = rows_of_step(state, batch, steps, last_rows);
  if (threadIdx.x == 0) {
    facts->rows = rows;
    facts->step = state->done + row + 1;
    facts->status = 0;
    state->bad = 0;
  }
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    const StepTarget& target = targets[i];
    const double number = target.column >= 0    ? rates[row * columns + target.column]
                          : target.column == -1 ? (double)(state->done + row + 1)
                                                : (double)rows;
    *target.place = target.base + target.scale * number;
  }
}

// Before all other kernels of a part, by one block. Those of the last step begin at `of_last`.
__device__ inline void begin_part(Facts* facts, StepState* state, const StepPart* parts,
                                  long long of_last, long long steps) {
  if (threadIdx.x != 0) return;
  ++state->part;
  const StepPart part = parts[state->part + (state->next + 1 == steps ? of_last : 0)];
  facts->rows = part.rows;
  facts->first_row = part.offset;
}

// Behind them: its gradient onto that of the parts before it, and what it returned.
template <class T>
__device__ inline void add_part(const StepState* state, T* gradient, const T* own, long long count,
                                StepSums* sums, const double* objective, const double* loss,
                                const double* weight, const double* updates) {
  const bool first = state->part == 0;
  for (long long i = first_index(); i < count; i += index_step()) {
    gradient[i] = first ? own[i] : gradient[i] + own[i];
  }
  if (first_index() != 0) return;
  const StepSums before = first ? StepSums{0, 0, 0, 1} : *sums;
  const bool counts = before.updates != 0 && (updates == nullptr || *updates != 0);
  *sums = {before.objective + *objective, before.loss + *loss, before.weight + *weight,
           counts ? 1.0 : 0.0};
}

// Rows of a source, as `order` lists them (null: as they are), into the batch.
template <class Kind, class To, class From>
__device__ inline void gather_rows(const From* source, const unsigned int* order, long long rows,
                                   long long width, To* batch) {
  for (long long i = first_index(); i < rows * width; i += index_step()) {
    const long long row = i / width;
    const long long from = order != nullptr ? order[row] : row;
    batch[i] = Converted<Kind, From>::of(source[from * width + i % width]);
  }
}

// The same of rows that have steps of so many numbers, as many as `offsets` say: what one lacks is
// padding.
template <class Kind, class To, class From>
__device__ inline void gather_ragged_rows(const From* source, const long long* offsets,
                                          const unsigned int* order, long long rows,
                                          long long steps, long long numbers, double padding,
                                          To* batch) {
  const long long width = steps * numbers;
  for (long long i = first_index(); i < rows * width; i += index_step()) {
    const long long from = order[i / width], at = i % width;
    const long long begin = offsets[from] * numbers, end = offsets[from + 1] * numbers;
    batch[i] = begin + at < end ? Converted<Kind, From>::of(source[begin + at])
                                : Converted<Kind, double>::of(padding);
  }
}

// The same of rows that are so many codes each, from which so many numbers are read.
__device__ inline void gather_coded_rows(const unsigned short* codes, const StepCode* reads,
                                         const float* knots, const unsigned int* order,
                                         long long rows, long long columns, long long numbers,
                                         float* batch) {
  for (long long i = first_index(); i < rows * numbers; i += index_step()) {
    const StepCode read = reads[i % numbers];
    const int code = codes[order[i / numbers] * columns + read.column], one = 1 << read.bits;
    const float* const knot = knots + read.begin + (code >> read.bits);
    const float way = static_cast<float>(code & (one - 1)) * (1.0f / static_cast<float>(one));
    batch[i] = knot[0] + way * (knot[1] - knot[0]);
  }
}

// A chunk of the gradient: penalties added and values clipped where this is asked for, looked
// through for what is not finite, its squares summed in a fixed order.
template <class T, int threads>
__device__ inline void prepare_gradient(StepState* state, const StepChunk* chunks, double limit,
                                        double* squares) {
  const StepChunk chunk = chunks[block()];
  T* const gradient = static_cast<T*>(chunk.gradient);
  const T* const weights = static_cast<const T*>(chunk.weights);
  const T l1 = chunk.penalty != nullptr ? static_cast<T>(chunk.penalty[0]) : T(0);
  const T l2 = chunk.penalty != nullptr ? static_cast<T>(chunk.penalty[1]) : T(0);
  const T most = static_cast<T>(limit);
  double sum = 0;
  bool bad = false;
  for (long long i = threadIdx.x; i < chunk.length; i += threads) {
    T value = gradient[i];
    if (chunk.penalty != nullptr && (l1 != T(0) || l2 != T(0))) {
      const T weight = weights[i];
      const T sign = static_cast<T>((weight > T(0)) - (weight < T(0)));
      value = (value + sign * l1) + weight * l2;
      gradient[i] = value;
    }
    if (limit > 0) {
      value = value > most ? most : value < -most ? -most : value;
      gradient[i] = value;
    }
    bad |= !(value - value == T(0));
    if (squares != nullptr) sum += static_cast<double>(value) * static_cast<double>(value);
  }
  if (bad) atomicOr(&state->bad, 1u);
  if (squares == nullptr) return;
  struct Sums {
    double at[threads];
  };
  SLIM_SHARED(Sums, shared);
  double* const sums = shared.at;
  sums[threadIdx.x] = sum;
  __syncthreads();
  for (int half = threads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) squares[block()] = sums[0];
}

// Whether a step counts that always updates and whose gradient's norm is not asked for. What
// judge_step writes meanwhile does not change the answer.
__device__ inline bool step_counts(const Facts* facts, const StepState* state,
                                   const double* objective) {
  const double value = *objective;
  return !state->refused && value - value == 0 && facts->status == 0 && state->bad == 0;
}

// Whether the step counts, by one block: then the groups of the update have their elements, else
// none, and nothing changes any more. Where it says itself that it does not update (`updates`;
// null: it always does), its gradient is not looked at, and the steps go on.
template <int threads>
__device__ inline void judge_step(Facts* facts, StepState* state, const double* objective,
                                  const double* loss, const double* weight, const double* updates,
                                  Facts* groups, const long long* lengths, int count,
                                  const double* squares, int chunks, double most,
                                  double* const* scales) {
  struct Shared {
    double sums[threads];
    int idle;
  };
  SLIM_SHARED(Shared, shared);
  double* const sums = shared.sums;
  if (squares != nullptr) {
    double sum = 0;
    for (int i = threadIdx.x; i < chunks; i += threads) sum += squares[i];
    sums[threadIdx.x] = sum;
    __syncthreads();
    for (int half = threads / 2; half > 0; half /= 2) {
      if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
      __syncthreads();
    }
  }
  if (threadIdx.x == 0) {
    const bool skips = updates != nullptr && *updates == 0;
    if (!state->refused) {
      const double value = *objective;
      state->finite = value - value == 0;
      state->status = facts->status;
      if (state->finite && state->status == 0) {
        state->loss_sum += *loss;
        state->weight_sum += *weight;
        bool bad = state->bad != 0;
        if (squares != nullptr) {
          const double norm = sqrt(sums[0]);
          bad |= !(norm - norm == 0);
          state->scale = norm > most ? most / norm : 1.0;
        }
        if (bad && !skips) state->status = 4;  // kNonFiniteGradient
      }
      state->refused = !state->finite || state->status != 0;
      if (!state->refused) ++state->next;
    }
    shared.idle = state->refused || skips;
    state->counts = !shared.idle;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += threads) {
    groups[i].rows = shared.idle ? 0 : lengths[i];
    if (squares != nullptr) *scales[i] = state->scale;
  }
}

// Sums of stretches, so many of each, to the numbers that updates read; by one block, each sum by a
// warp. Where one is not finite, the step does not count after all.
__device__ inline void take_sums(StepState* state, const StepSum* sums, int count,
                                 const double* partial, int width, Facts* groups, int group_count) {
  const bool idle = state->counts == 0;
  const int lane = threadIdx.x % 32;
  bool bad = false;
  for (int i = threadIdx.x / 32; i < count && !idle; i += blockDim.x / 32) {
    const StepSum sum = sums[i];
    double mine = 0;
    for (long long at = lane; at < sum.count; at += 32) {
      mine += partial[(sum.first + at) * width + sum.place];
    }
    for (int half = 16; half > 0; half /= 2) mine += __shfl_down_sync(~0u, mine, half);
    if (lane != 0) continue;
    *sum.to = mine;
    bad |= !(mine - mine == 0);
  }
  if (!__syncthreads_or(bad)) return;
  if (threadIdx.x == 0) {
    state->status = 4;  // kNonFiniteGradient
    state->refused = 1;
    --state->next;
    state->counts = 0;
  }
  for (int i = threadIdx.x; i < group_count; i += blockDim.x) groups[i].rows = 0;
}

// What the step set becomes state, unless it was refused.
__device__ inline void publish(const StepState* state, unsigned int* to, const unsigned int* from,
                               long long words) {
  if (state->refused) return;
  for (long long i = first_index(); i < words; i += index_step()) to[i] = from[i];
}

// Of a step whose parts have set state one after the other: that which it found, if it is refused.
__device__ inline void restore(const StepState* state, unsigned int* to, const unsigned int* from,
                               long long words) {
  if (!state->refused) return;
  for (long long i = first_index(); i < words; i += index_step()) to[i] = from[i];
}

}  // namespace slim
