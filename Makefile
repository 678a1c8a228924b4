# Two commands do everything on a fresh machine with Python 3.11 or newer:
#   make quickstart    install, then train, encode and score a small tokenizer on the bundled pictures
#   make test          install with the development tools, then lint, types (of the tests, too) and tests
# and while working:
#   make test-app      the tests of the page that `vistok app` serves, with the packages it needs
#   make docs          the documentation as a site, with every warning an error
#   make test-fast     the quick tests, in a minute and a half
#   make stress        training runs killed again and again, for many minutes
#   make fuzz          damaged files and mutated configs, as many as CASES=20000 SEED=7 say
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
OUTPUT ?= quickstart
MINUTES ?= 4
# Fuzzing: cases of each family, their seed; one family by the name of its test, one case of it.
CASES ?= 500
SEED ?= 0
ONLY ?= test
CASE ?=
SITE ?= site
# Test processes, of one thread each.
WORKERS ?= 2
# The tests of a file share what is expensive to make, so they stay in one process; slow files first.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
FAST := not slow and not browser and not stress
# Otherwise every process that a test starts would compile the whole package again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: quickstart test test-app test-fast stress fuzz lint types docs schema clean

quickstart: $(VENV)/.installed
	$(BIN)/vistok quickstart --output $(OUTPUT) --minutes $(MINUTES)

test: $(VENV)/.installed-dev lint types
	$(PYTEST)

test-fast: $(VENV)/.installed-dev
	$(PYTEST) -m '$(FAST)'
	@echo "left out, but part of make test: lint, types; runs that are killed or signaled, several"
	@echo "processes, compiling and exporting, Inception metrics, hostile files, fuzzing, examples, browser"

stress: $(VENV)/.installed-dev
	$(PYTEST) -m stress

fuzz: $(VENV)/.installed-dev
	VISTOK_FUZZ_CASES=$(CASES) VISTOK_FUZZ_SEED=$(SEED) VISTOK_FUZZ_CASE=$(CASE) \
		$(PYTEST) tests/fuzz -k '$(ONLY)'

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: $(VENV)/.installed-dev
	$(BIN)/pyright --pythonpath $(BIN)/python

# Not --quiet, under which mkdocs counts no warnings.
# The page needs packages that nothing else does, and an older Pillow.
test-app: $(VENV)/.installed-dev
	$(BIN)/python -m pip install --quiet --editable '.[dev,app]'
	$(BIN)/python -m pytest tests/page

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir $(SITE)

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
	rm -rf $(VENV) build dist site *.egg-info
