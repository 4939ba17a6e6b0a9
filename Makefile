# pancseg: `make demo` shows it working, `make test` proves it. Everything lives in $(VENV).
VENV ?= .venv
PYTHON ?= python3
PIP_FLAGS ?=
PYTEST_FLAGS ?=
SECONDS ?= 120
BIN := $(VENV)/bin

.PHONY: help demo check test soak fuzz audit clean

help:  ## Show this list.
	@grep -E '^[a-z]+:.*## ' Makefile | sed 's/:.*## /\t/' | expand -t 10

demo: $(VENV)/installed  ## Install everything, run the main job on an embedded cohort.
	$(BIN)/pancseg demo --out pancseg-demo

check: $(VENV)/installed  ## Lint, types, import contracts, regular expressions.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest -q tests/test_regular_expressions.py

test: $(VENV)/installed  ## Run the tests, two files at a time, each with one thread.
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile $(PYTEST_FLAGS)

soak: $(VENV)/installed  ## Run the long tests alone: thousands of broken files, a huge scan.
	$(BIN)/pytest -m soak $(PYTEST_FLAGS)

fuzz: $(VENV)/installed  ## Fuzz each reader for SECONDS (120); what was found is in build/fuzz.
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[fuzz]'
	for target in $$($(BIN)/python tests/fuzz/run.py); do \
	    $(BIN)/python tests/fuzz/run.py $$target $(SECONDS) build/fuzz || failed=1; \
	done; test -z "$$failed"

audit: $(VENV)/installed  ## Ask PyPI for known holes in the versions of constraints.txt.
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[audit]'
	$(BIN)/pip-audit --strict --no-deps --disable-pip -r constraints.txt

clean:  ## Remove the environment and the demo's files.
	rm -rf $(VENV) pancseg-demo

$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	touch $@
