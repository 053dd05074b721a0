# Every target works on a fresh clone and makes what it needs first: a virtual environment in .venv from the locked
# requirements, and the tools (Temporal's CLI and test server, Envoy, Prometheus) that cli/tools.py finds or builds.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
# uv brings roots of its own; the machine's know the proxy of a company too.
export UV_SYSTEM_CERTS ?= 1
# Some images forbid Python to keep what it compiles; every worker then compiles all of its imports, for seconds.
unexport PYTHONDONTWRITEBYTECODE
# The environment is as old as its content: the name holds what it was made from, so checking costs nothing.
ENVIRONMENT := .venv/.made-from-$(shell cat requirements/*.txt | cksum | cut -d ' ' -f 1)
INSTALLED := .venv/.installed
LOCKS := requirements
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--no-emit-index-url --custom-compile-command 'make lock'

.PHONY: help setup tools demo test simulations e2e bed check bench docs lock lock-check cluster cluster-down clean

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## Make .venv from the locked requirements

tools: setup # Fetch the tools; `test`, `e2e` and `bench` need them all before their clocks start.
	@$(BIN)/python -m cli.tools

demo: setup ## Watch a good and a bad release (ARGS="--kill-workers")
	@$(BIN)/headgate demo $(ARGS)

test: tools ## Run every test that needs no cluster (ARGS="-m 'not slow and not e2e and not cluster'" for the quick ones)
	$(BIN)/pytest -n 3 --dist loadfile -m 'not cluster' $(ARGS)

simulations: setup ## Run the simulations of the verdict engine alone; `test` runs them too
	$(BIN)/pytest -n 2 tests/workflows/analysis/evidence/test_simulations.py $(ARGS)

e2e: tools bed ## Run the tests that drive whole releases, and those on a Kubernetes cluster, which is built first
	$(BIN)/pytest -m 'e2e or cluster' $(ARGS)

bed: setup # Build Kubernetes, its data planes and Helm: half an hour the first time.
	@$(BIN)/python -m infra.testbed build --profile api
	@$(BIN)/python -m infra.helm build >/dev/null
	@$(BIN)/python -m infra.testbed build --profile full traefik

check: setup ## Check format, style, types, layers, the Containerfile, schemas and locks
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/hadolint --config infra/containers/hadolint.yaml infra/containers/Containerfile
	$(BIN)/headgate schema --check
	@$(MAKE) --silent lock-check

bench: tools ## Measure; prints a table and writes bench.json
	$(BIN)/python -m tests.bench $(ARGS)

cluster: setup ## Bring up a Kubernetes cluster without Docker (ARGS="--profile api")
	@$(BIN)/python -m infra.testbed up $(ARGS)

cluster-down: setup ## Take every trace of it away
	@$(BIN)/python -m infra.testbed down $(ARGS)

docs: setup ## Generate the JSON Schemas and the reference
	$(BIN)/headgate schema --write
	$(BIN)/python -m worker.reference
	$(BIN)/python -m cli.manual
	$(BIN)/python -m infra.helm

lock: $(UV) ## Lock the requirements again (ARGS=--upgrade for newer versions)
	$(COMPILE) $(ARGS) pyproject.toml -o $(LOCKS)/runtime.txt
	$(COMPILE) $(ARGS) pyproject.toml --group dev -c $(LOCKS)/runtime.txt -o $(LOCKS)/dev.txt
	$(COMPILE) $(ARGS) --group bootstrap -c $(LOCKS)/dev.txt -o $(LOCKS)/uv.txt

# Locking again keeps every version that pyproject.toml still allows, so a difference is a forgotten `make lock`.
lock-check: $(UV)
	@copy=$$(mktemp -d) && trap 'rm -r "$$copy"' EXIT && cp requirements/*.txt "$$copy" && \
		$(MAKE) --silent lock ARGS= LOCKS="$$copy" && diff -r requirements "$$copy" || \
		{ echo "requirements/ does not follow pyproject.toml: run \`make lock\`" >&2; exit 1; }

clean: ## Remove everything that was made here; the cache of tools stays
	rm -rf .venv dist bench.json .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(UV):
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt

$(ENVIRONMENT): | $(UV)
	$(UV) pip sync --quiet --python .venv --require-hashes requirements/dev.txt
	@rm -f .venv/.made-from-*
	@touch $@

$(INSTALLED): $(ENVIRONMENT) pyproject.toml
	$(UV) pip install --quiet --python .venv --no-deps --no-build-isolation --editable .
	@touch $@
