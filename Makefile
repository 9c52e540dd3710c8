# The two commands of the README are `make demo` and `make test`. Both install what they need.
PYTHON ?= python3.11
BIN := .venv/bin
# One Label Studio environment for the demo, the tests and the benchmarks; the first use makes it.
export LSLOOP_STUDIO_ENV ?= $(CURDIR)/.lsloop/studio

# Where bytecode is not kept, each of the many commands that tests start compiles lsloop anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-random check picture templates soak bench bench-active clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1\t/' | expand -t 14

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

build:
	mkdir -p build

demo: .venv/installed  ## the whole loop on a small made-up dataset, on real parts
	$(BIN)/lsloop demo

test: .venv/installed build  ## every test, on a real PostgreSQL, a real Label Studio and a real browser
	$(BIN)/python tests/needs.py
	$(BIN)/ruff check --no-cache --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports > build/imports.txt 2>&1 || { cat build/imports.txt; exit 1; }
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-random: .venv/installed build  ## every test in random order, beside a process that takes a core; prints its seed
	$(BIN)/python tests/hog.py & hog=$$!; trap 'kill $$hog' EXIT; \
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --random-order

check: .venv/installed  ## what takes seconds: lint, types, import contracts, unit tests
	$(BIN)/ruff check --no-cache .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/unit

picture: .venv/installed  ## draw docs/demo.svg anew
	$(BIN)/python docs/picture.py

templates: .venv/installed  ## write docs/templates.md anew; needs the embedded Label Studio (any test installs it)
	$(BIN)/lsloop templates --markdown > docs/templates.md

soak: .venv/installed  ## the model of the loop for SOAK_MINUTES (10), from seeds of its own
	$(BIN)/python -m pytest -q tests/model/soak.py

bench: .venv/installed  ## speed, side by side with the ceiling, as ratios; writes build/bench.json
	$(BIN)/python -m benchmarks

bench-active: .venv/installed  ## what the uncertain teach a model against what chance does, in five worlds; minutes
	$(BIN)/python -m benchmarks --only active --tasks 10 --small 10 --large 10 --out build/active.json

clean:  ## remove what was built; the data of `lsloop up` stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
