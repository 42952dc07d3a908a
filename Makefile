.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RIVALS := .venv-bench
COMPILE := $(BIN)/pip-compile -q --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

# Where it is set, each of the thousands of processes that the tests start compiles tenantmig anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/ready: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

install: $(VENV)/ready ## make the virtual environment

demo: install ## the whole story on an embedded PostgreSQL, in about a minute
	$(BIN)/tenantmig demo

test: install ## the quick tests, on a real PostgreSQL: every command, both engines, each promise
	$(BIN)/pytest

test-all: install ## all tests that CI runs: also faults, published histories, large fleets
	$(BIN)/pytest -m "not full" -n 4

test-debian: install ## the core of the tests on Debian's PostgreSQL 15 (apt-get install postgresql-15)
	TENANTMIG_TEST_SERVER=15 $(BIN)/pytest -m core -k 'not 16'

.venv-%/ready: requirements/%.txt pyproject.toml
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/$*.txt
	.venv-$*/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

test-lowest: .venv-lowest/ready ## the core of the tests with the lowest Alembic and SQLAlchemy
	.venv-lowest/bin/pytest -m core

test-newest: .venv-newest/ready ## the same with the newest ones
	.venv-newest/bin/pytest -m core

sweeps: install ## a kill at every statement, and many fleets led by chance: CI runs a sample
	$(BIN)/pytest -m full -n 6 --timeout 7200

random-scripts: install ## 2,000 random scripts, compared with plain Alembic
	RANDOM_SCRIPTS=2000 $(BIN)/pytest tests/faults/test_random_scripts.py -m '' -n 2 --timeout 1200

random-kills: install ## 500 random kills of workers, their children and the fork server
	RANDOM_KILLS=500 $(BIN)/pytest tests/faults/test_random_kills.py -m '' -n 2 --timeout 1200

pool-races: install ## 500 races of sign-ups for the pool, beside upgrades and kills
	POOL_RACES=500 $(BIN)/pytest tests/faults/test_pool_races.py -m '' -n 2 --timeout 1200

corruptions: install ## 2,000 damaged ledgers and version tables, told in words
	CORRUPTIONS=2000 $(BIN)/pytest tests/integration/ledger/test_damaged_ledger.py -m "" -k random -n 2 --timeout 14400

soak: install ## 300 random kills in commands of all kinds over 30 tenants
	$(BIN)/python -m tests.faults.soak

controls: install ## take each protection away and see the tests go red
	$(BIN)/python -m tests.faults.controls

check: install lint docs test-all test-debian ## what CI runs: lint, types, floors, documents, all tests

lint: install ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/house.py --check

picture: install ## draw docs/house.svg from the imports in the code
	$(BIN)/python tools/house.py

docs: install ## build the documents as a site in build/site; a broken link fails
	$(BIN)/python -m tools.site

reference: install ## write the generated parts of docs/reference anew
	$(BIN)/python -m tools.reference

$(RIVALS)/ready: requirements/bench.txt
	$(PYTHON) -m venv $(RIVALS)
	$(RIVALS)/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements/bench.txt
	touch $@

bench: install $(RIVALS)/ready ## speeds, side by side on one server
	$(BIN)/python -m benchmarks

lock: install ## write the locked requirements anew
	$(COMPILE) --upgrade --extra embedded --extra dev -o requirements/dev.txt pyproject.toml
	$(COMPILE) --upgrade --extra embedded --extra dev -o requirements/newest.txt pyproject.toml
	$(COMPILE) --upgrade --extra embedded --extra dev -o requirements/lowest.txt pyproject.toml requirements/lowest.in
	$(COMPILE) --upgrade -o requirements/runtime.txt pyproject.toml
	$(COMPILE) --upgrade --only-build-deps --build-deps-for wheel -o requirements/build.txt pyproject.toml
	$(COMPILE) --upgrade -o requirements/bench.txt requirements/bench.in

.PRECIOUS: .venv-%/ready
.PHONY: help install demo test test-debian test-lowest test-newest test-all sweeps random-scripts random-kills pool-races corruptions soak controls check lint picture docs reference bench lock
