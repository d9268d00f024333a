# Each target makes the environment it needs; nothing but Python 3.11+ and pip is assumed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
CODE := bench models baselines examples

.PHONY: quickstart test test-slow test-gpu check lint types docs format golden readme clean

quickstart: $(VENV)/.bench  ## Train six models on real digits and print both tables.
	$(BIN)/bench run quickstart --jobs 2
	$(BIN)/bench report quickstart --table 1 --table 2

test: $(VENV)/.test  ## Run the fast tests; a third process uses the time in which others wait.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 3 --dist loadfile

test-slow: $(VENV)/.test  ## Run the tests that take minutes.
	$(BIN)/python -m pytest -q -m slow

test-gpu: $(VENV)/.test  ## Run what needs a CUDA device, planned for 90 seconds.
	$(BIN)/python -m pytest -q -m "gpu and not slow" tests/gpu

check: lint types docs  ## Lint, types, docstrings, documentation; make -j2 uses two cores.

lint: $(VENV)/.lint  ## Lint code and docstrings.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pydoclint --quiet $(CODE)

types: $(VENV)/.lint  ## Check types.
	$(BIN)/mypy

docs: $(VENV)/.lint  ## Build the documentation into build/docs; broken links and references fail.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

format: $(VENV)/.lint  ## Rewrite the code in the house format.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: $(VENV)/.test  ## Rewrite the stored numbers; say why in CHANGELOG.md.
	$(BIN)/python -m tests.golden.rewrite $(MODELS)

readme: $(VENV)/.test  ## Write the published numbers into the README.
	$(BIN)/python -m cogapp -r README.md

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "bench needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.bench: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test]'
	@touch $@ $(VENV)/.bench

$(VENV)/.lint: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --quiet --constraint constraints.txt --editable '.[test,lint,docs]'
	@touch $@ $(VENV)/.test $(VENV)/.bench
