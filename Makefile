# The habits, one word each. VENV names the virtual environment: .venv, made here if missing.
VENV ?= .venv
PYTHON = $(VENV)/bin/python
PIP = $(PYTHON) -m pip install --quiet --disable-pip-version-check
NATIVE_FILES = $(shell find native tests/native examples -name '*.cpp' -o -name '*.h' -o -name '*.c' -o -name '*.cuh')

.PHONY: build demo docs test test-isa lint format bench bench-against sanitize wheel allocations \
  tsan fuzz fuzz-all fuzz-models aarch64

# What builds slimlearn; then slimlearn itself, editable, with its native module in place.
$(VENV)/bin/ninja:
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --group build

$(VENV)/slimlearn.stamp: pyproject.toml setup.py | $(VENV)/bin/ninja
	$(PIP) --no-build-isolation --editable .
	touch $@

$(VENV)/test.stamp: pyproject.toml | $(VENV)/slimlearn.stamp
	$(PIP) --no-build-isolation --editable ".[test]"
	touch $@

$(VENV)/docs.stamp: pyproject.toml | $(VENV)/slimlearn.stamp
	$(PIP) --group docs
	touch $@

$(VENV)/lint.stamp: pyproject.toml | $(VENV)/bin/ninja
	$(PIP) --group lint
	touch $@

build: | $(VENV)/slimlearn.stamp
	$(PYTHON) setup.py --quiet build_ext --inplace

# Wheels for old systems, for every CPython in PATH or in PYTHONS, tried and put in dist/.
wheel: build
	$(PYTHON) .ci/wheels.py $(PYTHONS)

demo: build
	$(PYTHON) examples/demo.py

# The pages, in build/docs/html; their code runs, and a warning is an error.
docs: build $(VENV)/docs.stamp
	$(PYTHON) -m sphinx --quiet --fail-on-warning --keep-going -d build/docs/doctrees \
	  docs build/docs/html

test: build $(VENV)/test.stamp
	$(PYTHON) -m pytest -n 2 --dist worksteal

# The same tests on every instruction-set level that runs here below the best, which is what
# `make test` runs; `make test-isa ISAS=generic` selects.
test-isa: export SLIM_ISAS = all
LOWER_ISAS = from slimlearn.backend import engine; print(*engine.available_isas()[:-1])
test-isa: build $(VENV)/test.stamp
	@set -e; isas='$(ISAS)'; test -n "$$isas" || isas=$$($(PYTHON) -c '$(LOWER_ISAS)'); \
	for isa in $$isas; do \
	  echo "SLIM_ISA=$$isa"; SLIM_ISA=$$isa $(PYTHON) -m pytest -n 2 --dist worksteal; \
	done

lint: $(VENV)/lint.stamp
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/clang-format --dry-run -Werror $(NATIVE_FILES)

format: $(VENV)/lint.stamp
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/clang-format -i $(NATIVE_FILES)

# Peers live in an environment of their own; CASES selects, e.g. `make bench CASES=digits`.
bench: build
	$(PYTHON) benchmarks/run.py $(CASES)

# Against another revision, built beside this one: `make bench-against REV=HEAD~5`.
bench-against: build
	$(PYTHON) benchmarks/against.py $(REV) $(if $(CASES),--cases $(CASES))

# The native tests on a build that stops at the first bad access or undefined result.
SANITIZED = build/sanitized
sanitize: build $(VENV)/test.stamp
	SLIM_SANITIZE=ON $(PYTHON) setup.py --quiet build --build-lib $(SANITIZED)
	LD_PRELOAD="$$(g++ -print-file-name=libasan.so) $$(g++ -print-file-name=libstdc++.so)" \
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONPATH=$(SANITIZED) \
	$(PYTHON) -m pytest -n 0 --capture=sys tests/native

# libslim for 64-bit ARM, and its tests by qemu; Debian has g++-aarch64-linux-gnu and qemu-user.
aarch64: build $(VENV)/test.stamp
	$(CMAKE) -S native -B build/aarch64 -G Ninja \
	  -DCMAKE_TOOLCHAIN_FILE=$(CURDIR)/.ci/aarch64.cmake
	$(CMAKE) --build build/aarch64
	$(PYTHON) -m pytest -n 0 tests/native/test_aarch64.py

# How long what has no end goes on.
SECONDS = 60

# Allocations that fail, one by one, in whatever time there is: `make allocations SECONDS=7200`.
allocations: build $(VENV)/test.stamp
	mkdir -p build
	c++ -std=c++17 -O1 -shared -fPIC tests/native/allocations/fail.cpp -o build/fail.so
	LD_PRELOAD=build/fail.so $(PYTHON) tests/native/allocations/run.py $(SECONDS)

# C++ threads that predict and train on one program, a dense, a convolutional and a recurrent one,
# under ThreadSanitizer: `make tsan SECONDS=7200` for hours. Lanes are plain threads here, as it
# knows nothing of OpenMP's own barriers.
CMAKE = PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cmake
SUPPORT = PYTHONPATH=tests $(PYTHON)
TSAN = halt_on_error=1 history_size=7 suppressions=tests/native/thread/suppressions.txt
tsan: build $(VENV)/test.stamp
	$(CMAKE) -S native -B build/thread -G Ninja -DSLIM_SANITIZE=thread -DSLIM_ISAS=generic
	$(CMAKE) --build build/thread --target threads
	@set -e; for network in dense images recurrent; do model=build/thread/$$network.slim; \
	words="$$($(SUPPORT) tests/native/thread/prepare.py $$network $$model)"; \
	echo "$$network:"; TSAN_OPTIONS="$(TSAN)" \
	build/thread/thread/threads $$model $$(($(SECONDS) / 3)) $$words; done

# Any bytes as program texts and model files, by libFuzzer: `make fuzz SECONDS=7200` for hours.
# What it finds lies in build/fuzzer; it needs Clang and its OpenMP (clang and libomp-dev).
CLANG ?= clang++
fuzz: build $(VENV)/test.stamp
	@if ! echo '#include <omp.h>' | $(CLANG) -fopenmp -fsanitize=fuzzer -x c++ -c - -o /dev/null; \
	then echo "make fuzz is skipped: it needs $(CLANG) with libFuzzer and OpenMP (Debian's clang" \
	"and libomp-dev), or CLANG=another"; else $(MAKE) --no-print-directory fuzz-all; fi

# Model files with other bytes and other fields, so many of each: refused, or read as they are.
MUTATIONS ?= 1000000
fuzz-models: build $(VENV)/test.stamp
	SLIM_MUTATIONS=$(MUTATIONS) SLIM_SEED=$$(date +%s) $(PYTHON) -m pytest -n 2 -k mutated \
	  tests/estimators/test_saving_mutated.py tests/native/test_model_files.py

fuzz-all:
	$(CMAKE) -S native -B build/fuzzer -G Ninja -DCMAKE_CXX_COMPILER=$(CLANG) \
	  -DSLIM_SANITIZE=fuzzer -DSLIM_ISAS=generic
	$(CMAKE) --build build/fuzzer --target fuzz_text fuzz_file
	$(SUPPORT) tests/native/fuzzer/corpus.py build/fuzzer/corpus
	cd build/fuzzer && for target in text file; do mkdir -p found/$$target && \
	ASAN_OPTIONS=allocator_may_return_null=1 fuzzer/fuzz_$$target found/$$target corpus/$$target \
	  -dict=corpus/words -max_total_time=$(SECONDS) -rss_limit_mb=4096 -malloc_limit_mb=0 \
	  -timeout=30 -print_final_stats=1 || exit 1; done
