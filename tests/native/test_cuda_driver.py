"""What a kernel sees: the tests' driver runs kernels as a GPU does."""

import subprocess
import sys

import numpy as np
import pytest
from support.cuda import CUDA
from support.cuda_kernel import kernel
from support.sanitizer import SANITIZED

from slimlearn.backend.engine.native import native

GPU = CUDA == "cuda"


def run(arrays, source, blocks=1, threads=1, **options):
    native.run_cuda_kernel(arrays, source, blocks, threads, gpu=GPU, **options)
    return arrays[0]


# -- what a kernel sees ----------------------------------------------------------------


@pytest.mark.parametrize("blocks, threads", [(1, 1), (3, 7), (5, 32), (2, 1000)])
def test_each_thread_of_the_grid_runs_once(blocks, threads):
    body = "atomicAdd(&x0[blockIdx.x * blockDim.x + threadIdx.x], (int)gridDim.x);"
    got = run(
        [np.zeros(blocks * threads, np.int32)], kernel(body, "int"), blocks, threads
    )
    np.testing.assert_array_equal(got, blocks)


@pytest.mark.parametrize("threads", [1, 2, 31, 32, 33, 64, 256, 1024])
def test_a_barrier_stops_all_threads_of_a_block(threads):
    body = """
    __shared__ int cells[1024];
    const int t = threadIdx.x, n = blockDim.x;
    int* mine = x0 + blockIdx.x * n;
    for (int round = 0; round < 3; ++round) {
      cells[t] = mine[t];
      __syncthreads();
      mine[t] = cells[(t + 1) % n] + cells[n - 1 - t];
      __syncthreads();
    }"""
    start = np.arange(4 * threads, dtype=np.int32).reshape(4, threads)
    want = start.copy()
    for _ in range(3):
        want = np.roll(want, -1, axis=1) + want[:, ::-1]
    got = run([start.copy()], kernel(body, "int"), 4, threads)
    np.testing.assert_array_equal(got, want)


def test_threads_that_end_wait_for_nobody():
    body = """
    __shared__ int sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    if (threadIdx.x >= 40) return;
    atomicAdd(&sum, 1);
    __syncthreads();
    x0[threadIdx.x] = sum;"""
    got = run([np.zeros(100, np.int32)], kernel(body, "int"), 1, 100)
    np.testing.assert_array_equal(got, np.where(np.arange(100) < 40, 40, 0))


@pytest.mark.parametrize("dtype, name", [(np.int32, "int"), (np.float64, "double")])
def test_lanes_of_a_warp_exchange_values(dtype, name):
    body = """
    const int t = threadIdx.x;
    x0[t] = __shfl_sync(0xffffffffu, x4[t], (t + 5) % 32);
    x1[t] = __shfl_down_sync(0xffffffffu, x4[t], 3);
    x2[t] = __shfl_up_sync(0xffffffffu, x4[t], 2, 16);
    x3[t] = __shfl_xor_sync(0xffffffffu, x4[t], 8);
    """
    values = np.arange(64).astype(dtype) ** 2
    arrays = [np.zeros(64, dtype) for _ in range(4)] + [values]
    run(arrays, kernel(body, ",".join([name] * 5)), 1, 64)
    t = np.arange(64)
    lane, warp = t % 32, t // 32 * 32
    np.testing.assert_array_equal(arrays[0], values[warp + (t + 5) % 32])
    np.testing.assert_array_equal(arrays[1], values[np.where(lane + 3 < 32, t + 3, t)])
    np.testing.assert_array_equal(arrays[2], values[np.where(t % 16 >= 2, t - 2, t)])
    np.testing.assert_array_equal(arrays[3], values[t ^ 8])


def test_one_warp_goes_on_while_others_ended():
    body = """
    __shared__ float cells[32];
    float sum = x1[threadIdx.x];
    for (int by = 16; by > 0; by /= 2) sum += __shfl_down_sync(0xffffffffu, sum, by);
    if (threadIdx.x % 32 == 0) cells[threadIdx.x / 32] = sum;
    __syncthreads();
    if (threadIdx.x >= 32) return;
    sum = threadIdx.x < blockDim.x / 32 ? cells[threadIdx.x] : 0.0f;
    for (int by = 16; by > 0; by /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, by);
    x0[threadIdx.x] = sum;"""
    values = np.arange(256, dtype=np.float32)
    got = run([np.zeros(32, np.float32), values], kernel(body, "float,float"), 1, 256)
    np.testing.assert_array_equal(got, values.sum())


def test_votes():
    body = """
    const int t = threadIdx.x;
    x0[t] = __ballot_sync(0xffffffffu, t % 3 == 0);
    x1[t] = __any_sync(0xffffffffu, t == 40) + 2 * __all_sync(0xffffffffu, t < 40);
    x1[t] += 4 * (__syncthreads_or(t == 3) != 0);"""
    votes, any_all = np.zeros(64, np.uint32), np.zeros(64, np.int32)
    run([votes, any_all], kernel(body, "unsigned int,int"), 1, 64)
    t = np.arange(64)
    for warp in (t[:32], t[32:]):
        want = sum(1 << i for i in range(32) if warp[i] % 3 == 0)
        np.testing.assert_array_equal(votes[warp], want)
    np.testing.assert_array_equal(any_all, np.where(t < 32, 2, 1) + 4)


@pytest.mark.parametrize("count", [16, 6000, 12000, 20000])
def test_shared_memory_of_the_size_that_a_launch_names(count):
    body = """
    extern __shared__ double room[];
    const int n = (int)x1[0];
    for (int i = threadIdx.x; i < n; i += blockDim.x) room[i] = i * 0.5;
    __syncthreads();
    double sum = 0;
    for (int i = threadIdx.x; i < n; i += blockDim.x) sum += room[n - 1 - i];
    x0[threadIdx.x] = sum;"""
    arrays = [np.zeros(64), np.array([count], float)]
    got = run(arrays, kernel(body, "double,double"), 1, 64, shared=8 * count)
    assert got.sum() == count * (count - 1) / 4


def test_numbers_too_small_are_flushed_and_products_stay_apart_from_sums():
    body = """
    x0[0] = x1[0] * x1[1];
    x0[1] = x1[2] * x1[2] - x1[3];
    x0[2] = __fmaf_rn(x1[2], x1[2], -x1[3]);"""
    near_one = np.float32(1 + 2**-12)
    square = near_one * near_one
    values = np.array([1e-30, 1e-10, near_one, square], np.float32)
    got = run([np.ones(3, np.float32), values], kernel(body, "float,float"))
    assert got.tolist()[:2] == [0, 0] and got[2] != 0


MEET = """
__device__ void meet(unsigned long long* arrived) {
#ifdef SLIM_EMULATED
  slim_meet();
#else
  __syncthreads();
  if (threadIdx.x == 0) {
    __threadfence();
    const unsigned long long n = gridDim.x, ticket = atomicAdd(arrived, 1ull);
    while (*(volatile unsigned long long*)arrived < (ticket / n + 1) * n) {
    }
    __threadfence();
  }
  __syncthreads();
#endif
}
"""


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_blocks_wait_for_each_other(blocks):
    body = """
    const int all = gridDim.x * 40, t = blockIdx.x * 40 + threadIdx.x;
    __shared__ int own;
    for (int round = 0; round < 5; ++round) {
      if (threadIdx.x == 7) own = blockIdx.x + round;
      __syncthreads();
      int* to = x0 + (round + 1) * all;
      to[t] = x0[round * all + (t + 1) % all] + own;
      meet(x1);
    }"""
    all = blocks * 40
    values = np.zeros((6, all), np.int32)
    values[0] = np.arange(all)
    want = values.copy()
    for i in range(5):
        want[i + 1] = np.roll(want[i], -1) + np.arange(all) // 40 + i
    source = kernel(body, "int,unsigned long long", before=MEET)
    run([values, np.zeros(1, np.uint64)], source, blocks, 40, together=True)
    np.testing.assert_array_equal(values, want)


# -- streams ---------------------------------------------------------------------------


@pytest.mark.parametrize("record", [False, True])
@pytest.mark.parametrize("times", [0, 1, 7])
def test_launches_run_in_order_as_often_as_they_are_put_there(record, times):
    body = "if (threadIdx.x == 0) x0[blockIdx.x] = x0[blockIdx.x] * 3 + 1;"
    got = run(
        *([np.arange(5, dtype=np.int64)], kernel(body, "long long"), 5, 8),
        **{"record": record, "times": times},
    )
    want = np.arange(5)
    for _ in range(times):
        want = want * 3 + 1
    np.testing.assert_array_equal(got, want)


# -- what goes wrong -------------------------------------------------------------------


def test_a_kernel_that_does_not_compile_is_shown_with_its_line():
    with pytest.raises(RuntimeError, match="does not compile") as caught:
        run([np.zeros(1)], kernel("x0[0] = nowhere(1);", "double"))
    assert "nowhere" in str(caught.value)


emulated_only = pytest.mark.skipif(GPU, reason="a GPU takes it, or goes on without end")


@emulated_only
def test_barriers_that_not_all_threads_reach():
    body = "if (threadIdx.x < 32) __syncwarp(); else __syncthreads(); x0[0] = 1;"
    run([np.zeros(1)], kernel(body, "double"), 1, 64)
    body = "if (threadIdx.x == 0) __syncwarp(); else __syncthreads(); x0[0] = 1;"
    with pytest.raises(RuntimeError, match="k0: threads of a block wait at different"):
        run([np.zeros(1)], kernel(body, "double"), 1, 64)


@emulated_only
@pytest.mark.parametrize("condition", ["blockIdx.x == 0", "threadIdx.x == 0"])
def test_a_meeting_that_some_do_not_come_to(condition):
    source = kernel(f"if ({condition}) slim_meet();", "double")
    with pytest.raises(RuntimeError, match=r"have ended|different barriers"):
        run([np.zeros(1)], source, 3, 40, together=True)


@emulated_only
def test_blocks_that_meet_are_launched_together():
    source = kernel("slim_meet();", "double")
    with pytest.raises(RuntimeError, match="but are not launched together"):
        run([np.zeros(1)], source, 3, 40)


@emulated_only
@pytest.mark.parametrize("threads, shared", [(0, 0), (1025, 0), (1, 1 << 20)])
def test_a_grid_that_no_gpu_has(threads, shared):
    words = "k0 shares 1048576 bytes" if shared else "k0 is launched on a grid that no"
    with pytest.raises(RuntimeError, match=words):
        run([np.zeros(1)], kernel("", "double"), 1, threads, shared=shared)


@emulated_only
def test_arguments_that_the_kernel_does_not_take():
    with pytest.raises(
        RuntimeError, match=r"k0 takes 16 bytes of arguments, .* given 8"
    ):
        run([np.zeros(1)], kernel("", "double,double"))


@emulated_only
@pytest.mark.parametrize("where", ["x0[32]", "x0[-500]"])
def test_a_kernel_that_leaves_its_memory_ends_the_process(where):
    script = (
        "import numpy as np; from slimlearn.backend.engine.native import native;"
        f"native.run_cuda_kernel([np.zeros(1)], {kernel(where + ' = 1;', 'double')!r},"
        " 1, 1)"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True)
    # A sanitizer tells of it and ends the process itself.
    assert ended.returncode != 0
    assert (b"Sanitizer: SEGV" in ended.stderr) if SANITIZED else not ended.stderr


def test_memory_that_is_not_there():
    for _ in range(2):
        with pytest.raises(
            MemoryError, match=rf"has no {1 << 44} bytes left: \d+ bytes"
        ):
            native.take_memory(CUDA, 1 << 44)
        native.take_memory(CUDA, 1 << 20)
