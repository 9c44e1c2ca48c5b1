# Everything starts here: `make demo` shows the whole life of a model, `make test` proves it.
# Needs Python 3.11 with pip; the rest comes into .tools/ and .venv/ from the lock file.
SHELL := /bin/bash
PYTHON ?= python3
UV_VERSION := 0.13.8
UV := .tools/uv/bin/uv
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help env demo test quick lint cluster stop-cluster bench docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info[:2] >= (3, 10) else "make: Python 3.11 is needed, this is " + sys.version.split()[0] + "; say PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .tools/uv
	.tools/uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(READY): pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --python 3.11 --all-extras --no-extra tensorrt --no-progress --compile-bytecode
	@touch $@

env: $(READY) ## the locked environment in .venv/

demo: $(READY) ## one recipe from data to a registered model, on this machine, nothing downloaded
	$(BIN)/glyphyard run recipes/florida_crnn.yaml

# By file, for a file's tests share what took long to make; in order, for those that take longest should not come last.
test: $(READY) lint ## all tests, two files at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

quick: $(READY) lint ## the tests that take seconds
	$(BIN)/python -m pytest -n 2 -m "not slow and not ray"

lint: $(READY) ## style, types and the floors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

cluster: $(READY) ## a Ray head on this machine, from this environment, with a token
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m glyphyard.cluster.local start

stop-cluster: $(READY) ## stop what `make cluster` started
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m glyphyard.cluster.local stop

bench: $(READY) ## every promised speed, the demo's included (a quarter of an hour)
	$(BIN)/python tools/bench/run.py --demo

docs: $(READY) ## docs/recipes.md from the schema
	$(BIN)/glyphyard schema --markdown > docs/recipes.md

clean: ## caches, not runs
	rm -rf .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache
