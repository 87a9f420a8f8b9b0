# What a newcomer and CI run. `make` alone lists it.

PYTHON ?= python3
ARGS ?=
N ?= 20
OUTAGE ?= 10

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test test-deploy drill lab check bench constraints clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "ARGS is handed on, e.g.: make demo ARGS='--dir /scratch/demo', make test ARGS='-k halo'"

install: $(INSTALLED)  ## make .venv with everything in it, an MPI library included

demo: install  ## the whole workflow on this machine, ending with a verified archive and a picture
	$(BIN)/lockstream demo $(ARGS)

# Two at a time, because half of them wait; whole files, because the tests of one share what they start.
test: install  ## all tests; they start a real Kafka and mpirun
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-deploy: install  ## Compose, the image and Slurm, each for real on this machine; needs root and Debian's packages
	$(BIN)/python -m pytest -m deploy $(ARGS)

drill: install  ## kill, stop and cut off on purpose, and count what was lost; N=20 kills, OUTAGE=10 seconds
	$(BIN)/lockstream drill archive --kills $(N) $(ARGS)
	$(BIN)/lockstream drill bridge --outage $(OUTAGE) $(ARGS)
	$(BIN)/python -m pytest -m drill

check: install  ## style, formatting, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	for script in .ci/run slurm/*.sbatch; do bash -n $$script || exit; done

lab: install  ## the labs of docs/labs in Jupyter, in the browser
	$(BIN)/python -c 'import jupyterlab' 2>/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check jupyterlab
	$(BIN)/jupyter lab docs/labs $(ARGS)

bench: install  ## ratios on this machine, as a table and in benchmarks/results
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,bench]'
	$(BIN)/python benchmarks/run.py $(ARGS)

constraints: have-python  ## renew constraints.txt from the newest versions; run the tests afterwards
	$(PYTHON) -m venv --clear build/newest
	build/newest/bin/pip install --quiet --editable '.[dev,bench]'
	{ sed '/^#/!d' constraints.txt; build/newest/bin/pip freeze --exclude-editable; } > build/constraints.txt
	mv build/constraints.txt constraints.txt

clean:  ## remove .venv, caches and build leftovers; archives and results stay
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Kept for as long as what is to be installed stays the same.
$(INSTALLED): pyproject.toml constraints.txt | have-python
	$(PYTHON) -m venv $(VENV)
	@echo "installing everything into $(VENV); it takes a minute or two, once"
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: have-python
have-python:
	@command -v $(PYTHON) >/dev/null || { echo "make: there is no $(PYTHON); install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("make: Python %d.%d is older than 3.11; name a newer one: make PYTHON=python3.12" % sys.version_info[:2])'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "make: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
