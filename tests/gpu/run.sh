#!/bin/bash
# Builds, tests and measures the CUDA half where there is a GPU: bash tests/gpu/run.sh [OUT]
# Needs python3 with the packages of the build and of the tests, a C++ compiler, NVIDIA's driver
# and NVRTC; no network. The table comes last; with OUT, logs are kept there. SLIM_GPU_PARTS
# names what to run of: build tests bench cpu.
cd "$(dirname "$0")/../.." || exit 1
out=${1:-$(mktemp -d)}
parts=${SLIM_GPU_PARTS:-build tests bench cpu}
run() {  # NAME COMMAND…: its log is kept, its end shown where it fails
  local name=$1 start=$SECONDS
  shift
  if "$@" >"$out/$name.log" 2>&1; then state=passed; else state=FAILED; fi
  echo "$name: $state in $((SECONDS - start)) s: $(tail -n 1 "$out/$name.log")"
  [ $state = passed ] || tail -n "${SLIM_GPU_LINES:-60}" "$out/$name.log"
}
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
for part in $parts; do
  case $part in
    build) run build python3 -m pip install -q --no-build-isolation --no-deps -e . ;;
    tests) run tests python3 -m pytest -q -n 6 -p no:cacheprovider --timeout 300 tests/gpu ;;
    cpu) run cpu python3 -m pytest -q -n 14 -p no:cacheprovider tests/native tests/graph ;;
    bench) run bench python3 benchmarks/gpu.py "$out/gpu.json" && cat "$out/bench.log" ;;
  esac
done
