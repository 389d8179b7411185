# Everything people and CI do here is a target. `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo
# Build output may live outside the checkout: set CARGO_TARGET_DIR.
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
FLAGS ?=

CALLS ?= 100000

.PHONY: help run bench-placement test test-unit test-system lint deny fuzz-build fuzz-replay pages build clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

run: pages ## start a node on this machine and say where to click
	$(CARGO) run --release --package tradewind -- serve --dev $(FLAGS)

pages: server/web/dist/index.html ## build the pages the server embeds

server/web/dist/index.html: $(shell find server/web/src server/web/*.html server/web/*.json server/web/*.ts -type f 2>/dev/null)
	cd server/web && npm ci --no-audit --no-fund && npm run build

build: pages ## build the server as it is shipped
	$(CARGO) build --profile dist --package tradewind

bench-placement: ## where calls are placed, beside simpler policies and an oracle; CALLS=556000 for ten million placements
	$(CARGO) run --release --package tradewind-loadtest -- placement --calls $(CALLS) $(FLAGS)

test: test-unit test-system ## every test, with real SDKs and browsers

test-unit: pages fuzz-replay ## crates in virtual time and on real sockets, fuzz inputs, and the pages' own tests
	$(CARGO) test --workspace
	cd server/web && npm test

test-system: pages ## a real server with real clients: Python, Node, Chromium, Firefox
	$(CARGO) build --workspace
	tests/run setup
	TRADEWIND_BIN="$(abspath $(TARGET))/debug/tradewind" tests/run all

lint: pages ## formatting, lints, page checks
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --document-private-items
	cd server/web && npm run lint

fuzz-build: ## build the fuzzers, on stable Rust
	fuzz/run build

fuzz-replay: ## replay the committed fuzz inputs
	fuzz/run replay

deny: ## licences, sources and advisories of dependencies
	$(CARGO) deny check

clean: ## remove build output
	$(CARGO) clean
	rm -rf server/web/dist server/web/node_modules
