# The four commands of a contributor: make demo, make test, make check, make install. Each sets up what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test test-engine-avx2 check install format clean

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dask,dicom,view,train,dev]'
	touch $(STAMP)

demo: install
	$(BIN)/confostain demo demo --overwrite

test: install
	$(BIN)/python -m pytest -n auto --dist worksteal

test-engine-avx2: install
	ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/python -m pytest -n auto tests/models tests/inference

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
