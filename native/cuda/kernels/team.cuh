// A block as teams: `across` of them, each of `down` threads that fold their parts into one.
#pragma once

namespace slim {

// Neighbouring threads are of one team (lines: they read along a row), or of neighbouring teams.
template <int across_, int down_, bool lines_>
struct Team {
  static constexpr int across = across_, down = down_;
  static constexpr bool lines = lines_;

  __device__ static int number() { return lines ? threadIdx.x / down : threadIdx.x % across; }
  __device__ static int lane() { return lines ? threadIdx.x % down : threadIdx.x / across; }

  // Of all lanes, for each: always in the same order. All threads of the block come here.
  template <class Fold>
  __device__ static typename Fold::Acc fold(typename Fold::Acc mine) {
    if (down == 1) return mine;
    typedef typename Fold::Acc Acc;
    struct Parts {
      Acc at[across * down];
    };
    SLIM_SHARED(Parts, parts);
    const int lane = Team::lane();
    Acc* const own = &parts.at[lines ? number() * down : number()];
    constexpr int step = lines ? 1 : across;
    __syncthreads();
    own[lane * step] = mine;
#pragma unroll
    for (int half = down / 2; half > 0; half /= 2) {
      __syncthreads();
      if (lane < half) {
        own[lane * step] = Fold::merge(own[lane * step], own[(lane + half) * step]);
      }
    }
    __syncthreads();
    return own[0];
  }
};

}  // namespace slim
