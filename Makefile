# Two commands do everything: `make run` and `make test`. Nothing but Python 3.11+ and make needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST_WORKERS ?= 3
SEEDS ?= 1
EXAMPLES ?= 500
RECORDED ?= var/recorded
CONTRACT := DJANGO_SETTINGS_MODULE=tracker.settings $(BIN)/python -m tests.contract

.DEFAULT_GOAL := help
.PHONY: help install run test check schema schema-released contract examples assurance bench chaos audit sbom lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

install: $(VENV)/.installed ## Create the virtual environment with pinned, hashed requirements

$(VENV)/.installed: requirements/development.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

run: install ## Run everything here: API, worker, beat, live prices, sandbox exchange (PORT=8000)
	@exec $(BIN)/python manage.py run_local

test: install ## Run all tests on real servers, in parallel
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS)

check: install ## Lint, format, types, layers, migrations, deployment settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.deploy_check
	$(BIN)/python -m tests.contract.breaking

schema: install ## Write docs/openapi.json, the schema that apps are generated from
	$(CONTRACT).document

schema-released: install ## The same, and promise it: with a release
	$(CONTRACT).document --release

contract: install ## Call every operation with made-up input (EXAMPLES=500 each)
	EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -n $(PYTEST_WORKERS) --timeout 3600 tests/contract tests/end_to_end/test_client.py

examples: install ## Record real answers anew: examples and error codes of the schema
	rm -rf $(RECORDED)
	-RECORD_TO=$(RECORDED) $(BIN)/python -m pytest -p tests.contract.recording -n $(PYTEST_WORKERS) \
	  tests/accounts tests/audit tests/billing tests/exchanges tests/portfolios tests/tracker
	$(CONTRACT).tables $(RECORDED)
	$(CONTRACT).document

audit: install ## Look for known holes in what production installs, and note the day
	$(BIN)/pip-audit --require-hashes --disable-pip -r requirements/production.txt
	$(BIN)/python -m tracker.dependencies

assurance: install ## Print which promise (S01 …) is held by which tests
	$(BIN)/python -m tests.assurance

bench: $(VENV)/.bench ## Measure, print a table, write bench.json
	$(BIN)/python -m tests.benchmarks

$(VENV)/.bench: $(VENV)/.installed requirements/bench.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	@touch $@

chaos: install ## Twelve kinds of fault in eight operations of the running system (SEEDS=1, or 1-3)
	$(BIN)/python -m tests.chaos --seeds $(SEEDS)

sbom: install ## Write sbom.json, the bill of materials of production (CycloneDX)
	$(BIN)/python -m tests.sbom sbom.json

lock: install ## Pin requirements/*.in anew, with hashes
	cd requirements && for name in base production development bench; do \
	  ../$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
	    --quiet --upgrade $$name.in -o $$name.txt; done

clean: ## Remove the virtual environment and all local data
	rm -rf $(VENV) var
