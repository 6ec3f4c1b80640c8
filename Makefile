# One runner for the desk and for CI. `make help` lists the targets.
#
#   PROFILE=quick-release make build   a faster compile for daily work (benchmarks refuse debug builds only)
#   VENV=…                             another virtual environment
#   JOBS=…                             parallel rustc processes

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

VENV ?= .venv
PROFILE ?= release
JOBS ?= $(shell nproc)
BIN := $(VENV)/bin
PY := $(BIN)/python
# The first Python that is new enough; PYTHON=… decides otherwise.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)

CARGO := CARGO_BUILD_JOBS=$(JOBS) PYO3_PYTHON=$(abspath $(PY)) cargo
# The compiled module is only needed by the crate that Python loads; every other crate is tested without Python.
RUST_TESTS := --workspace --exclude sluice-python --locked

DEPS := $(VENV)/.dependencies
NATIVE := build/native-$(PROFILE)
RUST_SOURCES := Cargo.toml Cargo.lock rust-toolchain.toml pyproject.toml \
	$(shell find _native -path '*/target' -prune -o -path _native/fuzz -prune -o \( -name '*.rs' -o -name Cargo.toml \) -print)

# A stamp without its module (another checkout, a removed file) is no stamp.
ifeq ($(wildcard gateway/_native*.so),)
.PHONY: $(NATIVE)
endif

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_CONSTRAINT := $(abspath .ci/constraints.txt)

.PHONY: help
help: ## what can be made
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F':.*?## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# ---------------------------------------------------------------------------------------------------------- build

$(DEPS): pyproject.toml .ci/constraints.txt
	@test -n "$(PYTHON)" || { echo "Sluice needs CPython 3.11 or newer; set PYTHON=/path/to/python" >&2; exit 1; }
	@command -v cargo >/dev/null || { echo "Sluice needs a Rust toolchain (https://rustup.rs)" >&2; exit 1; }
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet 'pip>=25.1'
	$(PY) -m pip install --quiet --group dev
	@touch $@

$(NATIVE): $(DEPS) $(RUST_SOURCES)
	PIP_QUIET=1 CARGO_BUILD_JOBS=$(JOBS) VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --profile $(PROFILE) --extras kube,filters
	@mkdir -p build && rm -f build/native-* && touch $@

.PHONY: build
build: $(NATIVE) ## compile the native module and install everything into .venv

.PHONY: wheel
wheel: $(DEPS) ## build a wheel into dist/
	$(BIN)/maturin build --release --out dist --interpreter $(PY)

# ------------------------------------------------------------------------------------------------------------- run

.PHONY: run
run: build ## serve examples/quickstart on http://localhost:8080
	@$(PY) examples/quickstart/demo.py serve

.PHONY: demo
demo: build ## the same, sends the requests itself and checks the answers
	@$(PY) examples/quickstart/demo.py check

# ------------------------------------------------------------------------------------------------------------ check

.PHONY: test
test: test-rust test-python ## all tests but those that take long or need a Kubernetes

.PHONY: test-rust
test-rust: $(DEPS) ## tests of the crates
	$(CARGO) test $(RUST_TESTS)

.PHONY: test-python
test-python: build ## tests of the package with the compiled module
	$(PY) -m pytest -m 'not slow and not kube and not image' $(PYTEST_ARGS)

# SLOW_MINUTES=10 lets the soak last for ten minutes, and fault after fault for five.
.PHONY: test-slow
test-slow: build ## long tests: soak, chaos, conformance, changes under load
	$(PY) -m pytest -m 'slow and not kube and not image' -rP --durations=10 $(PYTEST_ARGS)

# As root, with Go and etcd; the first time, the API server is compiled for some minutes.
.PHONY: test-kube
test-kube: build ## tests on a real Kubernetes that is made for them
	$(PY) -m tests.support.kube.programs
	$(PY) -m pytest tests/kube -m 'kube and not slow' -rP --durations=10 $(PYTEST_ARGS)

# A minute without an API server, restart after restart: SLOW_MINUTES counts here, too.
.PHONY: test-kube-slow
test-kube-slow: build ## long tests on a real Kubernetes
	$(PY) -m tests.support.kube.programs
	$(PY) -m pytest tests/kube -m 'kube and slow' -rP --durations=10 $(PYTEST_ARGS)

# As root on Debian, with buildah and debootstrap. The wheel is taken from `make build` of the same profile.
.PHONY: test-image
test-image: build ## the container image: built, started, asked
	$(PY) -m pytest tests/deploy -m image --durations=5 $(PYTEST_ARGS)

.PHONY: lint
lint: lint-rust lint-python lint-go ## formatting, lints, types, import rules, stubs

.PHONY: lint-rust
lint-rust: $(DEPS)
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny --all-features check; \
	else echo "cargo-deny is not installed: licences and advisories of the crates were not checked"; fi

.PHONY: lint-python
lint-python: build
	$(BIN)/ruff check gateway tests benchmarks examples deploy
	$(BIN)/ruff format --check gateway tests benchmarks examples deploy
	$(PY) -m mypy
	$(BIN)/lint-imports
	$(PY) -m mypy.stubtest gateway._native

# Programs of the tests only: the compiler looks at them when a test needs them.
.PHONY: lint-go
lint-go:
	@if command -v gofmt >/dev/null; then \
		unformatted=$$(gofmt -l tests); test -z "$$unformatted" || { echo "gofmt -w $$unformatted" >&2; exit 1; }; \
	else echo "Go is not installed: the format of the tests' Go programs was not checked"; fi

.PHONY: format
format: $(DEPS) ## rewrite the sources in the project's format
	cargo fmt --all
	$(BIN)/ruff check --fix-only gateway tests benchmarks examples deploy
	$(BIN)/ruff format gateway tests benchmarks examples deploy

.PHONY: fuzz
fuzz: ## fuzz the codec and the normaliser, 60 s each (needs the nightly toolchain and cargo-fuzz)
	@command -v cargo-fuzz >/dev/null || { echo "cargo install cargo-fuzz --locked" >&2; exit 1; }
	for target in codec normalize; do \
		cargo +nightly fuzz run --fuzz-dir _native/fuzz $$target -- -max_total_time=$(or $(FUZZ_SECONDS),60); \
	done

# ------------------------------------------------------------------------------------------------------- deployment

# Programs of one's own do as well: make manifests HELM=helm HELM_DOCS=helm-docs
HELM ?= go run helm.sh/helm/v3/cmd/helm@v3.22.0
HELM_DOCS ?= go run github.com/norwoodj/helm-docs/cmd/helm-docs@v1.14.2
CHART := deploy/helm/sluice
RENDER := $(HELM) template sluice $(CHART) --namespace sluice --kube-version 1.36.0 --set deploymentTool=kustomize
OVERLAYS := deploy/kustomize/overlays

.PHONY: manifests
manifests: ## write what follows from the chart: deploy/kustomize, the table of values
	$(RENDER) | sed '/^# Source:/d' > deploy/kustomize/base/sluice.yaml
	$(RENDER) --set autoscaling.enabled=true,autoscaling.connections.enabled=true --show-only templates/hpa.yaml \
		| sed '/^# Source:/d' > $(OVERLAYS)/autoscaling/autoscaler.yaml
	$(HELM_DOCS) --log-level warning --chart-search-root deploy/helm/sluice --sort-values-order file

# -------------------------------------------------------------------------------------------------------- benchmarks

.PHONY: bench
bench: build ## micro benchmarks beside naive Python rivals
	$(PY) -m pytest benchmarks/micro --benchmark-enable --benchmark-only --benchmark-disable-gc \
		--benchmark-group-by=group --benchmark-columns=median,iqr,ops,rounds --timeout 600

.PHONY: bench-load
bench-load: build ## load beside nginx, HAProxy and Envoy; results go to benchmarks/results
	$(PY) -m pip install --quiet --group bench
	$(PY) -m benchmarks.load $(BENCH_ARGS)

.PHONY: bench-kube
bench-kube: build ## ten thousand Mappings on a real API server: start, changes, memory; results go to benchmarks/results
	$(PY) -m benchmarks.kube $(BENCH_ARGS)

.PHONY: clean
clean: ## remove what was built
	rm -rf build dist target .venv gateway/_native*.so
