# The habits, one word each. VENV names the virtual environment (default: .venv, made here).
VENV ?= .venv
PYTHON = $(VENV)/bin/python
JOBS ?= $(shell nproc)
export CMAKE_BUILD_PARALLEL_LEVEL = $(JOBS)

.PHONY: build demo test lint format bench sanitize clean

# The native module beside the sources, where the editable install finds it.
build: $(VENV)/bin/slimlearn-tools
	$(PYTHON) setup.py -q build_ext --inplace

# A fresh environment: what builds slimlearn, then slimlearn itself, editable.
$(VENV)/bin/slimlearn-tools:
	test -x $(PYTHON) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install -q --upgrade pip
	$(PYTHON) -m pip install -q "setuptools>=77" "cmake>=3.20" ninja "pybind11>=2.13"
	touch $@
