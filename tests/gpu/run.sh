#!/bin/bash
# Builds, tests and measures the CUDA half where there is a GPU: bash tests/gpu/run.sh [FOLDER]
# Needs python3 with the packages of the build and of the tests, a C++ compiler, NVIDIA's driver
# and NVRTC, and no network. Logs and figures go to FOLDER. SLIM_GPU_PARTS names what to run of
#   build quick kinds bench convolutions sixteen tests kernels peers cpu
# in the order of what they tell: `quick` tests training and what a kernel sees, `kinds` measures
# each kind of network, `convolutions` measures cuDNN beside kernels of ours, `sixteen` operands of 16
# bits beside float32 (and fails where they give other numbers), `tests` are the others,
# `kernels` measures products without cuBLASLt,
# `peers` others beside us, and `cpu` tests the kernels of this machine's processor. Each part ends
# after a time of its own, all of them after SLIM_GPU_SECONDS; one that fails does not end the others.
# SLIM_GPU_DEVICE=emulated tries the script where there is no GPU: build, quick, kinds,
# convolutions, sixteen and tests.
cd "$(dirname "$0")/../.." || exit 1
out=${1:-$(mktemp -d)}
site=$PWD/build/gpu-site
mkdir -p "$site" "$out" && ln -sfn "$PWD" "$site/slimlearn"
export PYTHONPATH=$site PYTHONUNBUFFERED=1
parts="build quick kinds bench convolutions sixteen tests kernels peers cpu"
jobs=6
if [ "${SLIM_GPU_DEVICE:-cuda}" = emulated ]; then
  export SLIM_TEST_CUDA=emulated
  parts="build quick kinds convolutions sixteen tests" jobs=${SLIM_GPU_JOBS:-2}
else
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
fi
python=${PYTHON:-python3}
pytest="$python -m pytest -q -p no:cacheprovider -p no:benchmark"
$python -c "import pytest_timeout" 2>/dev/null && pytest+=" --timeout 100"
quick="tests/native/test_cuda_training.py tests/native/test_cuda_sequences.py
  tests/native/test_cuda_sparse.py tests/native/test_cuda_feed.py tests/native/test_cuda_driver.py
  tests/native/test_cuda_convolutions.py tests/native/test_cuda_behind.py
  tests/native/test_cuda_resident.py
  tests/native/test_cuda_sixteen_bits.py"
others=$(ls tests/native/test_cuda_*.py tests/native/test_placing.py | grep -vxFf <(echo $quick | tr ' ' '\n'))
failed=0
run() {  # SECONDS NAME COMMAND…: its log is kept, its end shown where it fails
  local left=$((${SLIM_GPU_SECONDS:-470} - SECONDS)) start=$SECONDS state=passed
  local most=$1 name=$2
  shift 2
  [ $left -gt 0 ] || { echo "== $name: no time left"; return 1; }
  timeout -k 5 $((most < left ? most : left)) "$@" >"$out/$name.log" 2>&1 || state="FAILED ($?)"
  echo "== $name $state in $((SECONDS - start)) s: $(tail -n 1 "$out/$name.log")"
  [ "$state" = passed ] && return
  failed=1
  tail -n "${SLIM_GPU_LINES:-40}" "$out/$name.log"
  return 1
}
for part in ${SLIM_GPU_PARTS:-$parts}; do
  case $part in
    build) run 240 build $python setup.py --quiet build_ext --inplace &&
      $python -c "import slimlearn; slimlearn.show_config()" ;;
    quick) run "${SLIM_GPU_QUICK:-120}" quick $pytest -n $jobs $quick ;;
    kinds) run 90 kinds $python benchmarks/gpu_kinds.py "$out/kinds.json"; cat "$out/kinds.log" ;;
    bench) run 60 bench $python benchmarks/gpu.py "$out/own.json" slimlearn; cat "$out/bench.log" ;;
    convolutions) run 130 convolutions $python benchmarks/gpu_convolutions.py "$out/convolutions.json"
      cat "$out/convolutions.log" ;;
    sixteen) run 60 sixteen $python benchmarks/gpu_sixteen_bits.py "$out/sixteen.json"
      cat "$out/sixteen.log" ;;
    tests) run "${SLIM_GPU_TESTS:-150}" tests $pytest -n $jobs $others ;;
    kernels) SLIM_CUDA_LIBRARY=0 run 60 kernels $python benchmarks/gpu.py "$out/kernels.json" slimlearn
      cat "$out/kernels.log" ;;
    peers) run 150 peers $python benchmarks/gpu.py "$out/gpu.json"; cat "$out/peers.log" ;;
    cpu) run 120 cpu $pytest -n 14 tests/native tests/graph ;;
  esac
done
exit $failed
