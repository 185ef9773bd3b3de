# PersonaAgent: `make demo` and `make test` do all the set-up they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo test check eval dev bench load soak lock clean

help: ## show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

setup: $(READY) ## install everything into .venv (700 MB; it says how long it took)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo 'Python 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 setup'; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'Installing the locked packages into .venv: 1 to 10 minutes, as fast as network and disk are ...'
	@date +%s > $(VENV)/.began
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@echo "Installed in $$(( $$(date +%s) - $$(cat $(VENV)/.began) )) seconds."
	@touch $(READY)

demo: $(READY) ## the whole loop on real data, offline, without a key
	@$(BIN)/personaagent demo

test: $(READY) ## all tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

check: $(READY) ## lint, types and import contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

eval: $(READY) ## a small fixed evaluation (ten minutes)
	@$(BIN)/python -m evals small

dev: $(READY) ## LangGraph server with all graphs, for Studio and the SDK
	@$(BIN)/python -c 'import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); \
	  s.bind(("127.0.0.1", 2024))' 2>/dev/null || { echo 'Port 2024 is taken, by another `make dev` perhaps: stop it,' \
	  'or run .venv/bin/langgraph dev --no-browser --port 2025'; exit 1; }
	@$(BIN)/langgraph dev --no-browser --n-jobs-per-worker 10

bench: $(READY) ## how fast memory, a turn and an alignment are (about half an hour)
	@$(BIN)/python -m evals.perf.memory_bench --points 1000,10000,100000,300000
	@$(BIN)/python -m evals.perf.turn_overhead
	@$(BIN)/python -m evals.perf.alignment_bench

load: $(READY) ## a real server under fifty users for ten minutes, then once more with faults
	@$(BIN)/python -m evals.perf.load --users 50 --minutes 10
	@$(BIN)/python -m evals.perf.load --users 50 --minutes 10 --faults

soak: $(READY) ## hold memory to its promises: 200 users, 50,000 interactions, faults and restarts
	@$(BIN)/python -m evals.perf.soak

lock: ## make requirements.lock anew (needs uv)
	@printf '%s\n' "llama-cpp-python ; sys_platform == 'never'" "llm ; sys_platform == 'never'" > .overrides
	@uv pip compile --quiet --universal --python-version 3.11 --override .overrides --no-emit-index-url \
	  --generate-hashes --all-extras --group dev --no-annotate --output-file requirements.lock pyproject.toml requirements.in
	@rm .overrides

clean: ## remove the virtual environment and caches
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .langgraph_api
