#!/bin/bash
# Builds, tests and measures the CUDA half where there is a GPU: bash tests/gpu/run.sh [FOLDER]
# Needs python3 with the packages of the build and of the tests, a C++ compiler, NVIDIA's driver
# and NVRTC, and no network. Logs and figures go to FOLDER. SLIM_GPU_PARTS names what to run of
#   build tests bench kernels peers cpu
# where `kernels` measures products without cuBLASLt, `peers` measures others beside us, and `cpu` tests the kernels of this machine's processor.
cd "$(dirname "$0")/../.." || exit 1
out=${1:-$(mktemp -d)}
site=$PWD/build/gpu-site
mkdir -p "$site" && ln -sfn "$PWD" "$site/slimlearn"
export PYTHONPATH=$site PYTHONUNBUFFERED=1
pytest="python3 -m pytest -q -p no:cacheprovider -p no:benchmark --timeout 300"
run() {  # NAME COMMAND…: its log is kept, its end shown where it fails
  local name=$1 start=$SECONDS state=passed
  shift
  "$@" >"$out/$name.log" 2>&1 || state=FAILED
  echo "== $name $state in $((SECONDS - start)) s: $(tail -n 1 "$out/$name.log")"
  [ $state = passed ] || tail -n "${SLIM_GPU_LINES:-40}" "$out/$name.log"
}
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
for part in ${SLIM_GPU_PARTS:-build tests bench kernels peers cpu}; do
  case $part in
    build) run build python3 setup.py --quiet build_ext --inplace &&
      python3 -c "import slimlearn; slimlearn.show_config()" ;;
    tests) run tests $pytest -n 6 tests/native/test_cuda_*.py tests/native/test_placing.py ;;
    bench) run bench python3 benchmarks/gpu.py "$out/own.json" slimlearn && cat "$out/bench.log" ;;
    kernels) SLIM_CUDA_LIBRARY=0 run kernels python3 benchmarks/gpu.py "$out/kernels.json" slimlearn &&
      cat "$out/kernels.log" ;;
    peers) run peers python3 benchmarks/gpu.py "$out/gpu.json" && cat "$out/peers.log" ;;
    cpu) run cpu $pytest -n 14 tests/native tests/graph ;;
  esac
done
