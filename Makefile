# make lab   open the workbench in JupyterLab on the sample experiment
# make test  run every check and test
# make frontend  build what runs in the browser (needs Node)
# Each installs what it needs into .venv first. Choose another interpreter with PYTHON=python3.12.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SAMPLE := sample_data/.complete
RECIPE := sample_data/cxim1416_r0074.calibration.toml

FRONTEND := workbench/ui/frontend
NPM := npm --prefix $(FRONTEND)

.PHONY: lab test report lint frontend check-frontend docs bench clean

lab: $(VENV)/.lab $(SAMPLE)
	$(BIN)/workbench lab notebooks/calibration.ipynb

report: $(VENV)/.lab $(SAMPLE)
	$(BIN)/workbench report $(RECIPE)

test: lint
	$(BIN)/python -m pytest -n 2 -m "not browser"
	$(BIN)/python -m pytest -m browser tests/browser

lint: $(VENV)/.test check-frontend
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Only who changes workbench/ui/frontend needs Node; what it builds is part of the repository.
frontend: $(FRONTEND)/node_modules/.installed
	$(NPM) run --silent format
	$(NPM) run --silent build

check-frontend: $(FRONTEND)/node_modules/.installed
	$(NPM) run --silent lint
	$(NPM) run --silent types
	$(NPM) test --silent
	$(NPM) run --silent check-bundle

$(FRONTEND)/node_modules/.installed: $(FRONTEND)/package-lock.json
	@command -v npm >/dev/null || { echo "Node and npm are missing: apt-get install nodejs npm"; exit 1; }
	$(NPM) ci --silent
	touch $@

docs: $(VENV)/.test
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.test
	for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

$(SAMPLE): | $(VENV)/.lab
	$(BIN)/workbench simulate sample_data

# One stamp per set of extras; a change of the dependencies installs again.
$(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or later is needed as '$(PYTHON)'; install it or say PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) $(FRONTEND)/node_modules build dist test-artifacts .pytest_cache .mypy_cache .ruff_cache
