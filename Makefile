.DEFAULT_GOAL := help
.PHONY: help setup run test lint types contracts invariants mutate fuzz bench clean

help: ## Show the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-11s %s\n", $$1, $$2}' Makefile

setup: ## Make the environments and install the tools
	@./scripts/setup

run: ## Run the whole marketplace on this machine
	@./scripts/run

test: ## Check everything
	@./scripts/test

lint: ## Format, rules and import directions
	@./scripts/test format lint imports

types: ## Check types
	@./scripts/test types

contracts: ## Compile, examine, fuzz and test the contracts
	@./scripts/test solidity slither contracts invariants proofs

invariants: ## Fuzz the invariants for hours: ten million calls
	@FOUNDRY_PROFILE=long ./scripts/forge test

mutate: ## Put small faults into the contracts, one at a time, and name those that no test notices: hours
	@./scripts/mutate

fuzz: ## Ask the control API a hundred thousand things, by its own schema and beyond it
	@.venv/bin/python -m tests.marketplace.api.fuzz 100000

bench: ## Measure decisions, settlement and the gateway beside its peers
	@for bench in scripts/bench/*; do if [ -f $$bench ] && [ -x $$bench ]; then .venv/bin/python $$bench || exit 1; fi; done

clean: ## Remove builds and caches, keep the environments
	@rm -rf build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
