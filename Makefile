# The commands of this project. `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help env run test lint bench clean

# A python3 of any age makes the environment, or says which one is missing.
PYTHON3 := $(shell command -v python3 2>/dev/null || command -v python3.13 2>/dev/null || command -v python3.12 2>/dev/null || command -v python3.11 2>/dev/null)
BIN := .venv/bin

define env
	@test -n "$(PYTHON3)" || { echo "rootstock: no python3 found: install Python 3.11 or newer (Debian, Ubuntu: apt-get install python3 python3-venv)" >&2; exit 1; }
	@$(PYTHON3) scripts/env.py $(1)
endef

help: ## this list
	@echo "Rootstock: where open models come from"
	@echo
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-7s %s\n", $$1, $$2}'
	@echo
	@echo "  make run PORT=8010                      on another port"
	@echo "  make run HUB=https://huggingface.co     on the real Hub (token, if any, from HF_TOKEN)"
	@echo "  make run CONTENT=generated:100000       on a sample hub of generated models"
	@echo "  make test ARGS='tests/lineage -x'       some tests only"
	@echo "  make bench ONLY=lineage ARGS='--size small'   one bench, quickly"

run: ## everything in the foreground: site, workers, scheduler, sample hub; Ctrl-C ends all
	$(call env)
	@exec $(BIN)/python scripts/run.py

env: ## .venv with all that running, testing and benching need
	$(call env,--dev)

test: ## all tests that this machine can run; lists what it can't, with the remedy
	$(call env,--dev)
	@$(BIN)/python -m pytest $(ARGS)

lint: ## style, types, layers, missing migrations
	$(call env,--dev)
	@$(BIN)/python scripts/lint.py

bench: ## the figures of the README (takes long); ONLY=name for one
	$(call env,--dev)
	@$(BIN)/python -m bench $(ONLY) $(ARGS)

clean: ## remove what can be made again (not the data under var/)
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache test-results
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
