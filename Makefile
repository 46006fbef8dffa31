# The two commands of README are `demo` and `test`; `make help` lists the rest.
#
# One profile and one target folder for everything, so that each dependency is compiled once. Cargo chooses the features
# of a dependency by what it is asked to build: without tests in sight tokio, pdf_oxide, tantivy and a dozen more would
# be built a second time, with fewer features: 8 minutes of CPU, measured. `--workspace --examples` makes it choose as for
# the tests.

SHELL := /bin/bash
CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
export PATH := $(CURDIR)/.venv/bin:$(PATH):$(HOME)/.cargo/bin

AS_FOR_TESTS := --workspace --examples --locked
QUIPU := $(CARGO_TARGET_DIR)/debug/quipu
XTASK := $(CARGO_TARGET_DIR)/debug/xtask
DEMO_INDEX := $(CARGO_TARGET_DIR)/demo-index
DEMO_QUESTION := what do I do when the outdoor unit is covered in ice?

# Cheap steps first; `tests` last, so that its summary stands at the end.
STEPS := format deny unused clippy docs build rules model doctests tests

.PHONY: help demo test $(STEPS) check fmt prepare prepare-build clean-demo
.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: prepare-build clean-demo ## Build the program, fetch the model, index docs/ and examples/, ask a question
	cargo build --bin quipu $(AS_FOR_TESTS)
	$(QUIPU) model fetch
	$(QUIPU) --db $(DEMO_INDEX) index docs examples
	$(QUIPU) --db $(DEMO_INDEX) search --limit 3 "$(DEMO_QUESTION)"
	@echo
	@echo 'Ask it something else:  $(QUIPU) --db $(DEMO_INDEX) search "how do I feed a sourdough starter"'

test: prepare ## Run everything that CI runs, and say the minutes of each step
	@tools/timed $(STEPS)

check: format clippy rules ## The quick half of `make test`, for between two edits

format: ## Step: rustfmt has nothing to change
	cargo fmt --all --check

deny: ## Step: licences, banned crates and sources of all dependencies (deny.toml)
	cargo deny --log-level error --locked check bans licenses sources

unused: ## Step: no dependency that nothing uses
	cargo shear --locked --deny-warnings

clippy: ## Step: clippy has nothing to say
	cargo clippy --workspace --all-targets --locked -- -D warnings

docs: ## Step: the documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --lib --bins $(AS_FOR_TESTS)

build: ## Step: the programs and all tests
	cargo build --bin quipu --bin xtask $(AS_FOR_TESTS)
	cargo nextest run --workspace --locked --no-run

rules: ## Step: the rules of the house (xtask/src/check.rs)
	cargo build --quiet --bin xtask $(AS_FOR_TESTS)
	$(XTASK) check

model: ## Step: the model that tests and demo embed with is on this machine
	cargo build --quiet --bin quipu $(AS_FOR_TESTS)
	$(QUIPU) model fetch

doctests: ## Step: the examples in the documentation
	cargo test --doc --workspace --locked

tests: ## Step: all tests
	cargo nextest run --workspace --locked

fmt: ## Format the source
	cargo fmt --all

prepare: ## Install what is missing to build and test
	@tools/prepare test

prepare-build:
	@tools/prepare build

clean-demo: ## Remove the demo's index
	rm -rf $(DEMO_INDEX)
