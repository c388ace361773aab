# Needs Python 3.11 to 3.13 and make; everything else is installed into .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO ?= demo
NPROCS ?= 2

.PHONY: demo test slow lint docs clean

demo: $(VENV)/installed ## make a small trial with known truth and run it from images to report
	$(BIN)/braindelta-demo $(DEMO) --nprocs $(NPROCS)

test: $(VENV)/installed-test ## the fast tests
	$(BIN)/python -m pytest -n $(NPROCS)

slow: $(VENV)/installed-test ## whole runs on images, minutes
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed-test ## style, imports, types, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell bids_utils configs workflows tests docs benchmarks README.md CHANGELOG.md CONTRIBUTING.md
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: $(VENV)/installed-docs ## the documentation site, build/docs/index.html
	$(BIN)/python -m sphinx -q -W --keep-going -E -b html docs build/docs

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q -e .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(BIN)/python -m pip install -q -e .[test]
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install -q -e .[docs]
	touch $@

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info
