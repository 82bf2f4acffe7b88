# `make help` lists the targets. Every target runs in .venv, which `make setup` makes from the pinned versions.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
BIN := .venv/bin
DATA ?= ../shared/data
export DAGSTER_HOME := $(CURDIR)
export DAGSTER_DISABLE_TELEMETRY := 1

.PHONY: help setup demo ui test test-spark check format screenshots nightly bench clean constraints

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

.venv/installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "Installing pinned dependencies into .venv (a few minutes the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement <(grep '^torch==' constraints.txt)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[sdv,sentry,otlp,dev]'
	@touch .venv/installed

setup: .venv/installed ## Make .venv with the pinned dependencies

demo: setup ## Materialise the whole chain of the demo dataset and print its scores
	@$(BIN)/synth-assets demo

ui: setup ## Open the Dagster UI on the same history (http://127.0.0.1:3000)
	@$(BIN)/synth-assets ui

test: setup ## Check format, lint, types and layers, and run the tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/lint-imports --cache-dir .import_linter_cache
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -n 2 --dist loadfile

.venv-spark/installed: .venv/installed
	@$(PYTHON) -m venv .venv-spark
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > .venv-spark/lib/python3.11/site-packages/of_venv.pth
	@.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt pyspark py4j
	@touch .venv-spark/installed

test-spark: .venv-spark/installed ## Run DuckDB and Spark on the same tables (needs Java 17; PySpark in .venv-spark)
	@PYTHONPATH=$(CURDIR) .venv-spark/bin/python -m pytest -m "spark and not slow" synth_assets_tests/spark

check: setup ## Format, lint, types and layers only; changes nothing
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/lint-imports && $(BIN)/mypy

format: setup ## Format the code and mend what the linter can mend
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

nightly: setup .venv-spark/installed ## Every test, with more examples
	@HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n 2 --dist loadfile -m "slow or not slow"
	@PYTHONPATH=$(CURDIR) .venv-spark/bin/python -m pytest -m spark synth_assets_tests/spark

screenshots: setup ## Take the pictures of the README (needs Chromium and a finished demo)
	@$(BIN)/python scripts/screenshots.py

bench: setup ## Run the benchmarks; DATA is the folder with the public tables
	@$(BIN)/python benchmarks/synthesis.py "$(DATA)" $(if $(BENCH),--bench "$(BENCH)")
	@$(BIN)/python benchmarks/masking.py
	@$(BIN)/python benchmarks/profiling.py --data "$(DATA)"
	@$(BIN)/python benchmarks/scale.py
	@$(BIN)/python benchmarks/classification.py --data "$(DATA)"
	@$(BIN)/python benchmarks/text_detection.py
	@$(BIN)/python benchmarks/anonymity.py "$(DATA)"
	@$(BIN)/python benchmarks/ingest.py
	@$(BIN)/python benchmarks/people.py
	@$(BIN)/python benchmarks/orchestration.py
	@$(BIN)/python benchmarks/empirical.py "$(DATA)"

constraints: ## Write constraints.txt from the versions in .venv
	@$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu//' > constraints.txt

clean: ## Remove what runs made, but never ledgers, keys and vault
	@$(BIN)/synth-assets clean --yes
