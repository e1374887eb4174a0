# aiops-suite: `make run` and `make test` are all a newcomer needs; both set up the environment first.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KERNELS := $(VENV)/.kernels
COMPILED := $(VENV)/.compiled
# Folders whose sources compiled kernels are made of.
ROOMS := data_contracts aiops models serving
# Processes that run tests beside each other; many tests wait. 0 = one process, as plain `pytest` does it.
WORKERS ?= 2
BESIDE = -n $(WORKERS) --dist loadfile --no-loadscope-reorder

# uv does not read pip's settings: honour the wheel folder that pip is configured with, if any (nothing changes elsewhere).
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
# Where tests find programs of others, once `make peers` has fetched them.
export AIOPS_PEERS ?= $(if $(wildcard .peers),$(CURDIR)/.peers)
# Nothing that a target starts reports its use to anyone.
export DO_NOT_TRACK ?= true
export MLFLOW_DISABLE_TELEMETRY ?= true
export BENTOML_DO_NOT_TRACK ?= true

.DEFAULT_GOAL := help
.PHONY: help run up test test-other peers check console bench kernels setup fmt constraints docs proto clean

help:  ## this list
	@awk -F ':.*  ## ' '/^[a-z-]+:.*  ## / {printf "%-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

run: setup  ## set up, then the whole loop on simulated telemetry (about 5 minutes on 2 cores)
	$(BIN)/aiops run --source simulate

up: setup  ## everything as long-running processes; Ctrl-C ends all
	$(BIN)/aiops up

test: setup $(COMPILED)  ## unit, property, contract, integration and end-to-end tests
	$(BIN)/python -m pytest $(BESIDE)

test-other: setup  ## unit and property tests on the newest other Python that is found; without one, says so
	.ci/test-other $(BESIDE)

peers:  ## Prometheus, vmagent and other programs that some tests talk to, into .peers; what cannot be had is said
	.ci/peers .peers

check: setup  ## format, lint, types, import layers, the console's bundle
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	.ci/console check

console:  ## build the console's bundle from its source; needs Node and npm, which nobody else does
	.ci/console build

bench: setup  ## speed figures beside baselines and committed ratios; also .aiops/bench.json
	$(BIN)/python -m tests.benchmarks.run --json .aiops/bench.json

setup: $(STAMP) $(KERNELS)  ## create .venv and install the suite under constraints.txt

$(STAMP): pyproject.toml constraints.txt hatch_build.py aiops/version.py
	@command -v $(PYTHON) >/dev/null || { echo "'$(PYTHON)' was not found. Install it, or name a Python 3.11 to 3.14: make PYTHON=/path/to/python"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --python $(BIN)/python --compile-bytecode -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

# numba does not notice that a kernel in another file has changed: forget all compiled ones when any of the sources has.
$(KERNELS): $(shell find $(ROOMS) -name "*.py") | $(STAMP)
	@find $(ROOMS) -name '*.nb[ci]' -delete
	@touch $(KERNELS)

# Two processes that run tests would each compile the same ones.
$(COMPILED): $(KERNELS)
	$(BIN)/python -m orchestration.suite.kernel_build
	@touch $(COMPILED)

kernels: setup $(COMPILED)  ## compile every kernel for this processor now, not at the first start (half a minute, once)

fmt: setup  ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: setup  ## resolve the universal constraints anew
	env -u UV_FIND_LINKS $(BIN)/uv pip compile --universal --python-version 3.11 --custom-compile-command "make constraints" \
		--extra dev pyproject.toml -o constraints.txt

docs: setup  ## rewrite the reference from the code and build the site: docs/_build/index.html
	$(BIN)/python -m orchestration.reference .
	$(BIN)/sphinx-build -E -W --keep-going -q -b html docs docs/_build

proto: setup  ## regenerate the gRPC code from serving/scoring/proto/scoring.proto
	$(BIN)/python -m serving.scoring.proto.regenerate

clean:  ## remove the environment and everything the suite wrote below .aiops
	rm -rf $(VENV) .venv-other .aiops
