# Two commands do everything: `make run` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes

.PHONY: run test test-integration test-stack test-compose test-security audit lint types lock bench clean

run: $(VENV)/.run
	@$(BIN)/localmind serve

# Where the shell forbids bytecode, each of the dozens of processes that tests start would compile the product anew.
test: export PYTHONDONTWRITEBYTECODE =
test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-integration: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "integration or browser" tests/unit tests/integration tests/browser $(ARGS)

# On the real servers: scripts/stack starts what does not run, and stops it again. STACK=testcontainers: in a Docker engine instead.
test-stack: $(VENV)/.dev
	$(if $(filter testcontainers,$(STACK)),STACK=$(STACK),$(BIN)/python scripts/stack run) $(BIN)/python -m pytest -m stack tests/contract tests/stack $(ARGS)

# The compose stack in a container engine that has its images: scripts/images.
test-compose: $(VENV)/.dev
	$(BIN)/python -m pytest -s tests/compose $(ARGS)

# In full: make test-security FUZZ_SECONDS=1800 SCHEMA_REQUESTS=10000 ISOLATION_SEQUENCES=200
FUZZ_SECONDS ?= 60
SCHEMA_REQUESTS ?= 500
ISOLATION_SEQUENCES ?= 8
test-security: $(VENV)/.dev audit
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml localmind apps
	FUZZ_SECONDS=$(FUZZ_SECONDS) SCHEMA_REQUESTS=$(SCHEMA_REQUESTS) ISOLATION_SEQUENCES=$(ISOLATION_SEQUENCES) $(BIN)/python -m pytest tests/security $(ARGS)

# Says what it could not ask; with REQUIRED=1 that is an error.
audit: $(VENV)/.dev
	$(BIN)/python scripts/audit.py $(if $(REQUIRED),--required)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff check --quiet --preview --select PLW1514 . # text files say their encoding, whatever a library made of the process's
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python scripts/scan_secrets.py
	$(BIN)/python scripts/alerts.py --check
	$(BIN)/python scripts/dashboards.py --check

types: $(VENV)/.dev
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Local Mind needs Python 3.11 or newer; this is %s. Try: make run PYTHON=python3.12" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

# --no-compile: 100 MB of bytecode for modules that are never imported.
$(VENV)/.run: $(VENV)/bin/python requirements/run.lock
	@echo "Setting up (about a minute the first time) ..."
	@$(PIP) --no-compile -r requirements/run.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --no-build-isolation --no-compile -e .
	@[ "$(SLIM)" = 0 ] || $(BIN)/python scripts/slim.py
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements/dev.lock
	@$(PIP) --no-compile -r requirements/dev.lock
	@touch $@

# Needs uv (https://docs.astral.sh/uv); only for those who change dependencies.
lock:
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --group setup -o requirements/run.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra servers --extra tracing --group setup -c requirements/run.lock -o requirements/servers.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra servers --extra tracing --group setup --group dev -c requirements/servers.lock -o requirements/dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --group sbom -o requirements/sbom.lock

clean:
	rm -rf $(VENV)
