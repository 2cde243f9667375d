# Two commands do everything: `make run` and `make test`. Both set up what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --require-hashes

.PHONY: run test test-integration test-stack lint types lock bench clean

run: $(VENV)/.run
	@$(BIN)/localmind serve

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-integration: $(VENV)/.dev
	$(BIN)/python -m pytest tests/integration $(ARGS)

# On the real servers: scripts/stack starts what does not run, and stops it again. STACK=testcontainers: in a Docker engine instead.
test-stack: $(VENV)/.dev
	$(if $(filter testcontainers,$(STACK)),STACK=$(STACK),$(BIN)/python scripts/stack run) $(BIN)/python -m pytest -m stack tests/contract tests/stack $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

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
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra servers --group setup -c requirements/run.lock -o requirements/servers.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --extra servers --group setup --group dev -c requirements/servers.lock -o requirements/dev.lock

clean:
	rm -rf $(VENV)
