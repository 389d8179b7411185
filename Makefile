# Everything people and CI do here is a target. `make help` lists them.
SHELL := /bin/bash
CARGO ?= cargo
# Build output may live outside the checkout: set CARGO_TARGET_DIR.
TARGET := $(if $(CARGO_TARGET_DIR),$(CARGO_TARGET_DIR),target)
FLAGS ?=

# Simulated calls of each scenario of bench-placement.
CALLS ?= 100000

.PHONY: help run test test-unit test-system lint deny fuzz-build fuzz-replay pages build clean demo \
	bench-build bench-forward bench-curves bench-micro bench-micro-update bench-relay bench-placement profile soak

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

run: pages ## start a node on this machine and say where to click
	$(CARGO) run --release --package tradewind -- serve --dev $(FLAGS)

demo: pages ## three nodes on this machine, as far apart as Tokyo, Paris and Virginia, and where to click
	$(CARGO) build --release --package tradewind --package tradewind-edge-agent --package tradewind-wan
	tests/run nats
	"$$(tests/run python-path)" tests/planet/demo.py "$(abspath $(TARGET))/release"

pages: server/web/dist/index.html ## build the pages the server embeds

server/web/dist/index.html: $(shell find server/web/src server/web/*.html server/web/*.json server/web/*.ts -type f 2>/dev/null)
	cd server/web && npm ci --no-audit --no-fund && npm run build

build: pages ## build the server as it is shipped
	$(CARGO) build --profile dist --package tradewind

bench-placement: ## where calls are placed, beside simpler policies and an oracle; CALLS=556000 for ten million placements
	$(CARGO) run --release --package tradewind-loadtest -- placement --calls $(CALLS) $(FLAGS)

test: test-unit test-system ## every test, with real SDKs and browsers

test-unit: pages fuzz-replay ## crates in virtual time and on real sockets, fuzz inputs, and the pages' own tests
	tests/run nats
	TRADEWIND_NATS_SERVER="$$(tests/run nats-path)" $(CARGO) test --workspace
	cd server/web && npm test

test-system: pages ## a real server with real clients: Python, Node, Chromium, Firefox
	$(CARGO) build --workspace
	tests/run setup
	TRADEWIND_BIN="$(abspath $(TARGET))/debug/tradewind" tests/run all

bench-relay: ## what a hop between nodes costs and carries; the last line is JSON
	$(CARGO) bench --package tradewind-relay --bench relay

lint: pages ## formatting, lints, page checks
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --workspace --no-deps --document-private-items
	cd server/web && npm run lint

fuzz-build: ## build the fuzzers, on stable Rust
	fuzz/run build

fuzz-replay: ## replay the committed fuzz inputs
	fuzz/run replay

deny: ## licences, sources and advisories of dependencies
	$(CARGO) deny check

# Benchmarks: the profile to build the server with (dist = as shipped), the cores, and options for both processes.
PROFILE ?= release
SERVER_CORE ?= 0
GENERATOR_CORE ?= 1
MINUTES ?= 20
NICE ?= 0
REPORTS := $(TARGET)/reports
LOADTEST = $(TARGET)/release/tradewind-loadtest
MACHINE = --server $(TARGET)/$(PROFILE)/tradewind --server-core $(SERVER_CORE) --generator-core $(GENERATOR_CORE) --nice $(NICE)

bench-build: pages
	$(CARGO) build --profile $(PROFILE) --package tradewind
	$(CARGO) build --release --package tradewind-loadtest
	mkdir -p $(REPORTS)

bench-forward: bench-build ## cost of a packet beside a floor, latency, memory, joins; the last line is JSON
	$(LOADTEST) bench-forward $(MACHINE) --html $(REPORTS)/forward.html

bench-curves: bench-build ## cost against calls, subscribers, tracks, sizes, bad links
	$(LOADTEST) bench-curves $(MACHINE) --html $(REPORTS)/curves.html --json $(REPORTS)/curves.json

bench-micro: ## time and instructions of the packet path; fails above the budget
	$(CARGO) bench --package tradewind-rtc --bench forward
	server/rtc/benches/gate check "$$($(MAKE) -s bench-micro-program)"

bench-micro-update: ## write the instructions counted now into the budget
	server/rtc/benches/gate update "$$($(MAKE) -s bench-micro-program)"

# Where cargo put the program whose instructions are counted.
bench-micro-program:
	@$(CARGO) bench --package tradewind-rtc --bench instructions --no-run --message-format json \
		| sed -n 's/.*"name":"instructions".*"executable":"\([^"]*\)".*/\1/p'

profile: bench-build ## flame graph of the server under load
	$(LOADTEST) profile $(MACHINE) --svg $(REPORTS)/profile.svg

soak: bench-build ## participants come and go for MINUTES; memory must end where it began
	$(LOADTEST) soak $(MACHINE) --minutes $(MINUTES) --html $(REPORTS)/soak.html

clean: ## remove build output
	$(CARGO) clean
	rm -rf server/web/dist server/web/node_modules
