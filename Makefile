# The front door. `make help` lists the targets; every one works from a clean clone with a Rust
# toolchain and a C compiler.

SHELL := /bin/sh

# Profile of `run`, `test` and `conformance` (one build for all three); `make run PROFILE=release`
# builds with full optimisation.
PROFILE ?= dev
# Folder with fixtures or packed fixtures, for `conformance`.
FIXTURES ?= $(or $(BANYAN_FIXTURES),../shared/fixtures)
# Kills for `torture`, blocks for `fuzz-executor`, and the seed of all decisions of both.
ROUNDS ?= 500
BLOCKS ?= 1000000
SEED ?= 1
# State commitment of the rollup of `devnet`: mpt, or wide.
CHAIN ?=
# Binary of go-ethereum, and the program and arguments that each client of `bench-peers` is started
# under: PIN='taskset -c 0'.
GETH ?= geth
PIN ?=
# Accounts in the state on which bench-commitment runs a node.
ACCOUNTS ?= 1000000
# More arguments for the program that a target starts: make run ARGS='--http.port 9545'.
ARGS ?=

# The MDBX binding needs libclang at build time: this finds it, or gets it.
CARGO := ./scripts/libclang.sh cargo

# Where the programs of PROFILE lie.
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
PROGRAMS := $(TARGET_DIR)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

.PHONY: help build check fmt test test-slow run devnet conformance bench bench-ingest bench-executor bench-lag bench-commitment bench-peers fuzz-executor torture tools docs clean toolchain programs

help: ## this list
	@echo "Banyan: make TARGET"
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  \1|\2/p' Makefile | awk -F'|' '{printf "%-21s %s\n", $$1, $$2}'
	@echo "Variables: PROFILE=dev|release  FIXTURES=DIR  ARGS='...'"

build: toolchain ## the release binary, target/release/banyan
	$(CARGO) build --release --locked -p banyan

check: toolchain ## formatting, lints, house rules, docs; dependencies if cargo-deny is there
	@cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 || { \
		echo "make check needs rustfmt and clippy: rustup component add rustfmt clippy"; exit 1; }
	cargo fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --workspace --locked --test tidy
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked --quiet
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; \
	else echo "cargo-deny is not installed: licences and advisories were NOT checked"; fi

fmt: toolchain ## formats the code
	cargo fmt --all

test: toolchain ## every test but the slow groups, with the conformance smoke set
	$(CARGO) test --workspace --locked --profile $(PROFILE)

test-slow: toolchain ## the slow groups as well
	$(CARGO) test --workspace --locked --profile $(PROFILE) -- --include-ignored

run: programs ## a dev chain at 127.0.0.1:8545 with funded accounts
	$(PROGRAMS)/banyan node --dev $(ARGS)

devnet: toolchain ## op-node sequencer and verifier, op-batcher and an L1 (needs Go and npm); CHAIN=wide
	@./devnet/run $(if $(CHAIN),--chain $(CHAIN)) $(ARGS)

conformance: programs ## all fixtures under FIXTURES (folder, or packed archives)
	$(PROGRAMS)/conformance --fixtures "$(FIXTURES)" $(ARGS)

bench: toolchain ## gas per second of newPayload and forkchoiceUpdated, by phase
	$(CARGO) run --release --locked -p banyan -- bench replay $(ARGS)

bench-ingest: toolchain ## CPU and latency of eth_sendRawTransaction over HTTP
	$(CARGO) run --release --locked -p banyan -- bench ingest $(ARGS)

bench-executor: toolchain ## execution alone, against revm used plainly; rows in target/bench/executor.json
	BANYAN_BENCH_OUT="$(abspath $(TARGET_DIR))/bench" BANYAN_FIXTURES="$(abspath $(FIXTURES))" \
		$(CARGO) bench --workspace --locked --bench executor

bench-lag: toolchain ## what a lag hides: getPayload, newPayload and a burst; rows in target/bench/lag.json
	mkdir -p "$(TARGET_DIR)/bench"
	$(CARGO) run --release --locked -p banyan -- bench lag \
		--rows "$(TARGET_DIR)/bench/lag.json" $(ARGS)

bench-commitment: toolchain ## state roots: ours, NOMT, in the node; rows and plots in target/bench/commitment*
	mkdir -p "$(TARGET_DIR)/bench"
	for rule in mpt wide; do \
		$(CARGO) run --release --locked -p banyan -- bench replay --workload mixed --senders 100000 \
			--accounts $(ACCOUNTS) --states "$(TARGET_DIR)/bench/states" --tmpdir "$(TARGET_DIR)/bench" \
			--rows "$(TARGET_DIR)/bench/commitment-node-$$rule.json" \
			$$(test $$rule = wide && echo --lag 4) || exit 1; done
	BANYAN_BENCH_OUT="$(abspath $(TARGET_DIR))/bench" BANYAN_BENCH_DIR="$(abspath $(TARGET_DIR))/bench" \
		$(CARGO) bench --workspace --locked --features banyan-commitment/peers --bench commitment

bench-peers: toolchain ## the same blocks for Banyan and geth (GETH=geth); rows in target/bench/peers.json
	@command -v "$(GETH)" >/dev/null 2>&1 || { echo "geth not found. Name one with GETH=PATH, or get it:"; \
		echo "go install github.com/ethereum/go-ethereum/cmd/geth@v1.17.8"; exit 1; }
	$(CARGO) build --release --locked -p banyan -p banyan-torture
	mkdir -p "$(TARGET_DIR)/bench"
	$(TARGET_DIR)/release/peers --dir "$(TARGET_DIR)/peers" --json "$(TARGET_DIR)/bench/peers.json" \
		--client "banyan=$(PIN) $(TARGET_DIR)/release/banyan node --chain {genesis} \
		--datadir {datadir} --http --http.port {http} --authrpc.port {auth} \
		--authrpc.jwtsecret {jwt} --port {p2p} --color=never -v" --class banyan=D1/R0 \
		--client "geth=$(PIN) $(GETH) --datadir {datadir} --syncmode full --gcmode full \
		--cache 4096 --nodiscover --maxpeers 0 --port {p2p} --authrpc.port {auth} \
		--authrpc.jwtsecret {jwt} --http --http.port {http} --miner.gaslimit 30000000 --verbosity 2" \
		--init "geth=$(GETH) init --datadir {datadir} {genesis}" --class geth=D0/R0 \
		--builder geth $(ARGS)

fuzz-executor: toolchain ## generated blocks: every way of execution against the oracle (BLOCKS=1000000 SEED=1)
	BANYAN_FUZZ_BLOCKS=$(BLOCKS) BANYAN_FUZZ_SEED=$(SEED) $(CARGO) test --workspace --locked \
		--profile $(PROFILE) --test fuzz -- --include-ignored --nocapture very_many

torture: toolchain ## kill -9 at random moments: counts lost heads (ROUNDS=500 SEED=1)
	$(CARGO) build --release --locked -p banyan -p banyan-torture
	rm -rf "$(TARGET_DIR)/torture"
	$(TARGET_DIR)/release/torture --rounds $(ROUNDS) --seed $(SEED) --client banyan \
		--dir "$(TARGET_DIR)/torture" --cmd "$(TARGET_DIR)/release/banyan node --chain {genesis} \
		--datadir {datadir} --http --http.port {http} --authrpc.port {auth} \
		--authrpc.jwtsecret {jwt} --port {p2p} --color=never" $(ARGS)

tools: toolchain ## cast, viem, ethers and web3.py against a dev chain (needs npm and python3)
	$(CARGO) test --workspace --locked --profile $(PROFILE) --test tools -- --include-ignored

docs: toolchain ## API documentation in target/doc
	$(CARGO) doc --workspace --no-deps --locked

clean: ## removes target/
	rm -rf target

toolchain:
	@command -v cargo >/dev/null 2>&1 || { echo "cargo not found: install Rust, see https://rustup.rs"; exit 1; }
	@command -v "$${CC:-cc}" >/dev/null 2>&1 || { echo "no C compiler found (cc): install gcc or clang"; exit 1; }

# With the features that tests ask for (hence the test target), so that all targets of a profile
# share one build of the libraries.
programs: toolchain
	$(CARGO) build --workspace --locked --profile $(PROFILE) --bins --test smoke
