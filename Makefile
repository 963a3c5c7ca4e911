# `make check` is everything that a change must pass; .ci/run calls it and nothing else.
PYTHON ?= python3
VENV ?= .venv-dev
BIN := $(VENV)/bin

.PHONY: check lint test

check: lint test

lint: $(BIN)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Without TensorRT, which the second line tries to install, the tests that build engines skip.
test: $(BIN)/.installed
	$(BIN)/python tests/support/tensorrt_host/install.py
	$(BIN)/python -m pytest

$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@
