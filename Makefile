# Parlor's commands: `make` alone lists them. Nothing but Python 3.11 or newer and git has to be there.
.DEFAULT_GOAL := help
.PHONY: help run test unit lint format types bench faults pgbouncer fuzz migration docs screenshots

BIN := .venv/bin
RUN := .venv/installed
DEV := .venv/installed-dev
ROUNDS ?= 20
EXAMPLES ?= 100

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

run: $(RUN) ## start everything in one process; PORT=8000, data in ./.parlor
	@exec $(BIN)/parlor up

test: $(DEV) ## lint, types and the whole test suite, on real servers
	@$(MAKE) --no-print-directory --jobs=2 lint types
	@$(BIN)/python -m tests.servers ensure
	@$(BIN)/python -m pytest -n 3 --dist worksteal

unit: $(DEV) ## only the unit tests: no servers, a few seconds
	@$(BIN)/python -m pytest -q tests/unit

lint: $(DEV) ## ruff and the import contracts
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-logo

format: $(DEV) ## let ruff mend and format the code
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

types: $(DEV) ## mypy everywhere, pyright on the core
	@$(BIN)/mypy
	@$(BIN)/pyright

bench: $(DEV) ## measure beside floors and peers, a quarter of an hour
	@$(BIN)/python -m benchmarks

faults: $(DEV) ## kill, cut and freeze under load, count, and write docs/reliability.md; ROUNDS=20
	@$(BIN)/python -m tests.faults $(ROUNDS)

pgbouncer: $(DEV) ## the tests from outside and the faults once more, behind PgBouncer
	@TEST_PGBOUNCER=1 $(BIN)/python -m pytest -n 3 --dist worksteal tests/e2e tests/faults

fuzz: $(DEV) ## throw odd requests, messages and frames at running processes, at random; EXAMPLES=100
	@PARLOR_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -s -n 0 tests/fuzz

migration: $(DEV) ## write a migration from what the tables have become; m="what changes"
	@$(BIN)/python scripts/migration.py "$(m)"
	@$(BIN)/ruff check -q --fix-only migrations
	@$(BIN)/ruff format -q migrations

docs: $(DEV) ## write the pages that come from the code
	@$(BIN)/python -m parlor.entrypoints.http.problems > docs/problems.md.new
	@mv docs/problems.md.new docs/problems.md
	@$(BIN)/python -m parlor.entrypoints.asyncapi > docs/asyncapi.json.new
	@mv docs/asyncapi.json.new docs/asyncapi.json

screenshots: $(DEV) ## take the pictures of the console that these pages show
	@$(BIN)/python -m tests.screenshots

$(RUN): pyproject.toml constraints.txt scripts/install.sh
	@sh scripts/install.sh .
	@touch $@

$(DEV): pyproject.toml constraints.txt scripts/install.sh
	@sh scripts/install.sh '.[dev]'
	@touch $@ $(RUN)
