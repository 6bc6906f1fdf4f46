# Everything the project needs is installed by these targets: Python 3.11 or newer, Go and make are all that must be there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Most tests wait for a control plane of their own; an existing cluster is worked on by one at a time.
WORKERS := $(if $(CLUSTER),0,3)
CRD := crds/meshupgrade.io_meshupgrades.yaml
REFERENCE := docs/api-reference.md

.DEFAULT_GOAL := help
.PHONY: help demo bench test check unit integration generate lock rig cluster-up cluster-down clean

help: ## say what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=…") if sys.version_info < (3, 11) else None'
	@echo "installing the locked Python packages into $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

rig: $(VENV)/.installed ## build the test rig's binaries, once for each version
	@$(BIN)/python -m tests.cluster build

demo: rig ## upgrade a mesh before your eyes, on a real control plane
	@$(BIN)/python -m tests.demo

bench: rig ## compare with Helm, kubectl and by hand; N=… samples, PART=upgrade|data-plane
	@$(BIN)/python -m tests.bench $(if $(N),--samples $(N)) $(if $(PART),--part $(PART))

test: check rig ## everything: lint, types, layers, freshness, unit and integration tests
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal

check: $(VENV)/.installed ## what needs no cluster: lint, types, layers, freshness of what is generated
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/meshupgrade crd | diff -u $(CRD) - || { echo "$(CRD) is stale: make generate"; exit 1; }
	@$(BIN)/meshupgrade reference | diff -u $(REFERENCE) - || { echo "$(REFERENCE) is stale: make generate"; exit 1; }

unit: $(VENV)/.installed ## the unit tests
	@$(BIN)/pytest tests/unit

integration: rig ## the tests on the rig
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal tests/integration

generate: $(VENV)/.installed ## make the CRD and the API reference from the models
	@$(BIN)/meshupgrade crd > $(CRD)
	@$(BIN)/meshupgrade reference > $(REFERENCE)

lock: $(VENV)/.installed ## lock the Python packages
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--custom-compile-command "make lock" --group dev pyproject.toml -o requirements-dev.lock

cluster-up: rig ## start a control plane of your own; its kubeconfig is .cluster/kubeconfig
	@$(BIN)/python -m tests.cluster up

cluster-down: $(VENV)/.installed ## stop it
	@$(BIN)/python -m tests.cluster down

clean: cluster-down ## remove what was made here; the rig's binaries stay in the user's cache
	@rm -rf $(VENV) .bench .cluster .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
