# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make quickstart    install, then train, encode and score a small tokenizer on the bundled pictures
#   make test          install with the development tools, then lint, types and tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUTPUT ?= quickstart
MINUTES ?= 4

.PHONY: quickstart test lint types schema clean

quickstart: $(VENV)/.installed
	$(BIN)/vistok quickstart --output $(OUTPUT) --minutes $(MINUTES)

test: $(VENV)/.installed-dev lint types
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(VENV)/.installed-dev
	$(BIN)/pyright --pythonpath $(BIN)/python

schema: $(VENV)/.installed
	$(BIN)/python -m vistok.train.config.files configs/schema.json
	$(BIN)/python -m vistok.eval.report.schema

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vistok needs Python 3.11 or newer; call make with PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.installed-dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist *.egg-info
