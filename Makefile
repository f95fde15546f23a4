# The whole set-up: a virtual environment with pinned packages. Every target makes what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP_FLAGS := --disable-pip-version-check --quiet

.PHONY: env demo test test-long check format benchmarks

env: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("molehunt needs Python 3.11 or newer; set PYTHON=python3.11") if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) --upgrade "pip>=25.1"
	$(BIN)/python -m pip install $(PIP_FLAGS) --constraint constraints.txt --editable . --group dev
	touch $(STAMP)

demo: env
	$(BIN)/molehunt demo --out demo-report

test: env
	$(BIN)/pytest -m "not long" -n 2 --dist loadfile

test-long: env
	$(BIN)/pytest -m long --timeout 3600

check: env
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell

format: env
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

benchmarks: env
	$(BIN)/python benchmarks/run.py
