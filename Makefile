# Two commands on a fresh machine: `make demo` and `make test`. All else is listed by `make help`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python
# What ingest is measured beside has dependencies of its own.
QUIX := .venv-quix
# What looks at the locks from outside has, too.
TOOLS := .venv-tools
SERVICE ?= pypi
DEMO_FOLDER ?= chargeback-demo
# Each of these processes starts a broker and a database of its own.
TESTS_AT_ONCE ?= 3
# Compiled modules are kept whatever the machine is set to: the tests start hundreds of interpreters.
export PYTHONDONTWRITEBYTECODE :=
SEEDS ?= 1000
STORE ?= sqlite
FIRST ?= 0
# Odd requests to each endpoint of the API.
FUZZ_EXAMPLES ?= 700

.PHONY: help demo run test lint bench test-faults simulate-faults test-api openapi asyncapi metrics-page prometheus-rule dependencies-page sbom audit test-fresh test-upgrade test-alerts lock clean check-python

help: ## list what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/worker.installed ## the main job, embedded: usage, a closed month, invoices on a topic
	@$(BIN)/chargeback demo --folder $(DEMO_FOLDER)

test: $(VENV)/dev.installed ## every test; what it found of Kafka, PostgreSQL, a browser and Prometheus is in the header
	$(BIN)/python -m pytest -n $(TESTS_AT_ONCE) --dist worksteal

lint: $(VENV)/dev.installed ## style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

run: $(VENV)/worker.installed ## the worker, by config/chargeback.toml and CHARGEBACK_… variables
	$(BIN)/chargeback --config config/chargeback.toml run

bench: $(VENV)/dev.installed ## how fast it is, as ratios of one run; FULL=1: with 20 million stored
	@$(MAKE) --no-print-directory $(QUIX)/quix.installed \
		|| echo "Quix Streams could not be installed; the figures beside it are left out." >&2
	$(BIN)/python -m tests.benchmarks $(NAMES) $(if $(FULL),--full)

test-faults: $(VENV)/dev.installed ## real processes, Kafka and PostgreSQL, broken in every way; long
	$(BIN)/python -m tests.faults

test-alerts: $(VENV)/dev.installed ## each alert fired by its real fault under a real Prometheus, and cleared; long
	$(BIN)/python -m tests.alerts

simulate-faults: $(VENV)/dev.installed ## SEEDS=1000 drawn interleavings on STORE=sqlite, from the seed FIRST=0 on
	$(BIN)/python -m tests.interleaving --seeds $(SEEDS) --store $(STORE) --first $(FIRST)

test-api: $(VENV)/dev.installed ## more than 20,000 odd requests to the HTTP API, on each store; long
	CHARGEBACK_TEST_FUZZ=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest -s tests/api/test_fuzz.py

test-upgrade: $(VENV)/dev.installed ## roll on and back between FROM=COMMIT, an older release, and this one while usage flows
	$(BIN)/python -m tests.upgrade $(if $(FROM),--release $(FROM))

test-fresh: ## as root: README's commands and the image's steps in a clean Debian; PART=demo|test|image; long
	$(PYTHON) -m tests.fresh $(addprefix --part ,$(PART))

openapi: $(VENV)/worker.installed ## write docs/openapi.json anew, from what the routes declare
	$(BIN)/python -m chargeback_worker.api.openapi > docs/openapi.json

asyncapi: $(VENV)/worker.installed ## write docs/asyncapi.json anew, from what the topics carry
	$(BIN)/python -m chargeback_worker.api.asyncapi > docs/asyncapi.json

metrics-page: $(VENV)/worker.installed ## write docs/metrics.md anew, from the catalogue of metrics
	$(BIN)/python -m chargeback_worker.metrics.page > docs/metrics.md

RULE := deploy/kubernetes/components/prometheus/alerts.yaml
prometheus-rule: ## write the PrometheusRule anew, from deploy/prometheus/alerts.yml
	@printf '%s\n' 'apiVersion: monitoring.coreos.com/v1' 'kind: PrometheusRule' 'metadata:' \
		'  name: chargeback' '  labels:' '    app.kubernetes.io/name: chargeback' 'spec:' > $(RULE)
	@sed -n '/^groups:/,$$p' deploy/prometheus/alerts.yml | sed 's/^./  &/' >> $(RULE)

dependencies-page: $(VENV)/dev.installed ## write docs/dependencies.md anew, from the locks and what packages say
	$(BIN)/python -m tests.support.licences

sbom: $(TOOLS)/tools.installed ## what the worker is made of, as CycloneDX with hashes: build/sbom.cdx.json
	@mkdir -p build
	$(TOOLS)/bin/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --validate \
		--output-format JSON --output-file build/sbom.cdx.json requirements/worker.lock

audit: $(TOOLS)/tools.installed ## known vulnerabilities of what is locked, as SERVICE=pypi or osv tells
	$(TOOLS)/bin/pip-audit --require-hashes --disable-pip --strict --vulnerability-service $(SERVICE) \
		-r requirements/worker.lock

lock: $(VENV)/uv.installed ## resolve the dependencies anew into requirements/*.lock
	$(BIN)/uv pip compile $(LOCK) requirements/uv.in -o requirements/uv.lock
	$(BIN)/uv pip compile $(LOCK) --extra all pyproject.toml requirements/build.in -o requirements/worker.lock
	$(BIN)/uv pip compile $(LOCK) --extra all pyproject.toml requirements/build.in requirements/dev.in -o requirements/dev.lock
	$(BIN)/uv pip compile $(LOCK) requirements/quix.in -o requirements/quix.lock
	$(BIN)/uv pip compile $(LOCK) requirements/tools.in -o requirements/tools.lock

# `--no-header` and no index: a lock holds names, versions and hashes, and no address.
LOCK := --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-header

clean: ## remove what was built, the demo's files too
	rm -rf $(VENV) $(QUIX) $(TOOLS) build $(DEMO_FOLDER) .mypy_cache .ruff_cache .pytest_cache .hypothesis

check-python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed; '$(PYTHON)' is not. Try: make PYTHON=python3.12 …" >&2; exit 3; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "Python's venv and pip are missing. On Debian: apt-get install python3-venv" >&2; exit 3; }

$(VENV)/uv.installed: requirements/uv.lock | check-python
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

# The project itself is installed in place, with a build backend that the lock holds too.
$(VENV)/%.installed: requirements/%.lock pyproject.toml $(VENV)/uv.installed
	@echo "Installing the locked dependencies into $(VENV) …"
	@$(UV) --require-hashes -r $<
	@$(UV) --no-deps --no-build-isolation --editable .
	@touch $@

$(QUIX)/quix.installed: requirements/quix.lock $(VENV)/uv.installed
	@echo "Installing Quix Streams into $(QUIX), for the bench alone …"
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(QUIX)
	@$(BIN)/uv pip install --quiet --python $(QUIX)/bin/python --require-hashes -r $<
	@touch $@

$(TOOLS)/tools.installed: requirements/tools.lock $(VENV)/uv.installed
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(TOOLS)
	@$(BIN)/uv pip install --quiet --python $(TOOLS)/bin/python --require-hashes -r $<
	@touch $@
