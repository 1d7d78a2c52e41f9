# `make help` lists what can be made. Each target installs what it needs into .venv first.
# Choose another interpreter with PYTHON=python3.12, another folder with VENV=folder.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SAMPLE := sample_data/.complete
RECIPE := sample_data/cxim1416_r0074.calibration.toml

FRONTEND := workbench/ui/frontend
NPM := npm --prefix $(FRONTEND)

# With COVERAGE=1 the Python tests also say which lines they reach (see `make coverage`).
COVERED := $(if $(COVERAGE),--cov=workbench --cov-append --cov-report=)
# Tests of a file stay in one process, so that its fixtures are made once. BLAS takes one core of two.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile
UNIT := $(PYTEST) --no-loadscope-reorder $(COVERED)

.PHONY: help lab report test test-slow unit browser coverage lint check-types check-style \
  check-frontend frontend format hooks docs film docs-version release bench clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

lab: $(VENV)/.lab $(SAMPLE)  ## open the workbench in JupyterLab on the sample experiment
	$(BIN)/workbench lab

report: $(VENV)/.lab $(SAMPLE)  ## write the report of the sample experiment
	$(BIN)/workbench report $(RECIPE)

test: lint $(VENV)/.test  ## run every check, and every test that is not marked slow
	$(UNIT) -m "not slow"

test-slow: $(VENV)/.test  ## run the tests marked slow, as CI does
	$(UNIT) -m slow

unit: $(VENV)/.test  ## run the tests without a browser
	$(UNIT) -m "not browser and not slow"

browser: $(VENV)/.test  ## run the tests that drive JupyterLab in Chromium
	$(PYTEST) -m "browser and not slow" tests/browser

coverage: $(VENV)/.test  ## say which lines of the package the tests reach (after COVERAGE=1)
	$(BIN)/coverage report --skip-covered --sort=cover

lint: $(VENV)/.test $(FRONTEND)/node_modules/.installed  ## check style, spelling, types and the front end
	$(MAKE) --no-print-directory --output-sync -j 2 check-types check-style check-frontend

check-types: $(VENV)/.test  ## check the types of the package
	$(BIN)/mypy

check-style: $(VENV)/.test  ## check style and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

format: $(VENV)/.test  ## bring the Python files into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: $(VENV)/.test  ## check each commit before it is made
	$(BIN)/pre-commit install

# Only who changes workbench/ui/frontend needs Node; what it builds is part of the repository.
frontend: $(FRONTEND)/node_modules/.installed  ## build what runs in the browser
	$(NPM) run --silent format
	$(NPM) run --silent build

check-frontend: $(FRONTEND)/node_modules/.installed  ## check style, types, tests and bundle of the front end
	$(NPM) run --silent lint
	$(NPM) run --silent types
	$(NPM) test --silent
	$(NPM) run --silent check-bundle

$(FRONTEND)/node_modules/.installed: $(FRONTEND)/package-lock.json
	@command -v npm >/dev/null || { echo "Node and npm are missing: apt-get install nodejs npm"; exit 1; }
	$(NPM) ci --silent
	touch $@

docs: $(VENV)/.test  ## build the documentation into site/
	$(BIN)/mkdocs build --strict --config-file .ci/mkdocs.yml

film: $(VENV)/.test  ## record the moving picture of the documentation (needs Chromium)
	$(BIN)/python docs/film.py

docs-version: $(VENV)/.test $(VENV)/.release  ## add this version of the documentation to the branch gh-pages, here
	$(BIN)/mike deploy --config-file .ci/mkdocs.yml --update-aliases "$$($(BIN)/python -c 'import workbench; print(workbench.__version__)')" latest

release: $(VENV)/.test $(VENV)/.release  ## build, check and tag a release here; uploads nothing (DRY_RUN=1: no tag)
	VENV=$(VENV) .ci/release $(if $(DRY_RUN),--dry-run)

bench: $(VENV)/.test  ## run all benchmarks, one table after the other
	$(BIN)/python benchmarks

$(SAMPLE): | $(VENV)/.lab
	$(BIN)/workbench simulate sample_data

# One stamp per set of extras; a change of the dependencies installs again.
$(VENV)/.%: pyproject.toml .ci/constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt --editable '.[$*]'
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Python 3.11 or later is needed as '$(PYTHON)'; install it or say PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:  ## remove what was installed and built
	rm -rf $(VENV) $(FRONTEND)/node_modules build dist test-artifacts .pytest_cache .mypy_cache .ruff_cache .coverage
