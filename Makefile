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

# torch brings gigabytes of CUDA libraries: a download that broke off is tried again, some minutes long.
# What was already fetched comes from pip's cache.
$(BIN)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	for pause in 10 30 60 120 240 0; do \
	  $(BIN)/pip install --quiet --upgrade pip && \
	  $(BIN)/pip install --quiet --editable '.[dev]' && exit 0; \
	  sleep $$pause; \
	done; exit 1
	touch $@
