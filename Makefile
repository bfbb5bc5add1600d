# Nexus. `make` alone says what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO       ?= go
BIN      := bin
COMMANDS := $(notdir $(patsubst %/main.go,%,$(wildcard cmd/*/main.go)))

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --verify -q HEAD 2>/dev/null || echo unknown)
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null || echo 1970-01-01T00:00:00Z)
LDFLAGS := -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)

GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT         := $(BIN)/tools/golangci-lint-$(GOLANGCI_LINT_VERSION)

GOVULNCHECK_VERSION := v1.9.0
GOVULNCHECK         := $(BIN)/tools/govulncheck-$(GOVULNCHECK_VERSION)

GOTESTSUM_VERSION := v1.13.0
GOTESTSUM         := $(BIN)/tools/gotestsum-$(GOTESTSUM_VERSION)

# Tests whose failure is a finding, whatever a second run says: crashes, histories, simulations.
FINDINGS      := Crash|Faults|Linearizab|OptimisticCounters|Serializable|Simulation
FINDINGS_IN   := ./integration/mysql ./integration/faults ./integration ./raft

# Go begins with the packages that are named first. Those whose tests last longest are, or one of them goes on alone at the end.
ALL := ./integration/mysql ./integration ./raft ./proxy/redis ./...

# Packages in which goroutines meet; the race detector runs on these.
CONCURRENT := ./raft/... ./appliers/... ./proxy/...

FUZZTIME ?= 10s

# Packages with benchmarks of single stages.
MICRO := ./proxy/redis/... ./proxy/mysql/... ./raft ./appliers/redis ./appliers/mysql

# Fault tests: how many rounds (about 6 s each), and what their plans are made of.
ROUNDS ?= 100
SEED   ?= $(shell date +%s)

.DEFAULT_GOAL := help
.PHONY: help build run run-redis run-mysql certs test test-ci test-clients test-mysqltest test-redissuite test-race test-faults soak figures simulate lint vulncheck fuzz bench bench-mysql bench-full bench-etcd bench-micro dist dist-all generate clean deps

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { printf "  make %-21s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the programs into bin/ (make GOOS=... GOARCH=... build for another platform)
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ $(addprefix ./cmd/,$(COMMANDS))

run: deps build ## Start three redis-servers, three mariadbds and a node for each; Ctrl-C stops them, ./data stays
	@$(GO) build -trimpath -o $(BIN)/localcluster ./integration/localcluster
	@exec $(BIN)/localcluster -bin $(BIN) -data data

run-redis run-mysql: run-%: deps build ## The same with one kind of backend only
	@$(GO) build -trimpath -o $(BIN)/localcluster ./integration/localcluster
	@exec $(BIN)/localcluster -bin $(BIN) -data data -only $*

# Tests start programs that they build, of which Go's cache of results knows nothing: hence -count=1.
test: deps ## Run all tests: unit tests, and integration tests on real servers
	$(GO) test -count=1 -timeout 50m $(ALL)

test-ci: deps $(GOTESTSUM) ## The same, but a few tests that fail are told of and run once more: for machines that others use too
	$(GO) test -count=1 -timeout 30m -run '$(FINDINGS)' $(FINDINGS_IN)
	@rm -f $(BIN)/rerun.txt
	$(GOTESTSUM) --format standard-quiet --rerun-fails=1 --rerun-fails-max-failures=6 --rerun-fails-run-root-test --rerun-fails-abort-on-data-race \
	  --rerun-fails-report $(BIN)/rerun.txt --packages='$(ALL)' -- -count=1 -timeout 50m -skip '$(FINDINGS)'
	@if [ -s $(BIN)/rerun.txt ]; then { echo '** FAILED ONCE, PASSED WHEN RUN AGAIN (find out why):'; cat $(BIN)/rerun.txt; } >&2; fi

$(GOTESTSUM):
	GOBIN=$(CURDIR)/$(BIN)/tools $(GO) install gotest.tools/gotestsum@$(GOTESTSUM_VERSION)
	@mv $(BIN)/tools/gotestsum $@

test-clients: ## Run client libraries and applications through a cluster (installs them from Debian and npm)
	@.ci/deps clients
	$(GO) test -count=1 -v -tags clients -timeout 60m ./integration/clients/...

test-mysqltest: deps ## Run part of MariaDB's own test suite through a cluster, about 40 minutes (Debian's package mariadb-test)
	$(GO) test -count=1 -v -timeout 2h ./integration/mysqltest -all

test-redissuite: ## Run the test suite of Redis through a cluster, one unit after the other, about 20 minutes (fetches it from Debian; REDISSUITE_ARGS=-follower)
	@.ci/deps redissuite
	$(GO) test -count=1 -v -timeout 3h ./integration/redissuite -all $(REDISSUITE_ARGS)

test-race: deps ## Run the tests of the concurrent packages under the race detector
	$(GO) test -count=1 -timeout 30m -race $(CONCURRENT)

test-faults: deps ## Let clusters go through ROUNDS rounds of faults made from SEED, and a third as many that lose packets, about 13 minutes (ROUNDS=1000 SEED=7)
	$(GO) test -count=1 -v -timeout 0 -run 'Test(Packet)?Faults$$' ./integration/faults -rounds $(ROUNDS) -seed $(SEED) -per-cluster 8

# Soak: how long.
DURATION ?= 10m

soak: deps build ## Run both kinds of cluster for DURATION (10m) with clients that behave and clients that vanish, and look for what grows
	@$(GO) build -trimpath -o $(BIN)/soak ./integration/soak
	@exec $(BIN)/soak -bin $(BIN) -duration $(DURATION)

figures: deps ## Measure what docs/testing.md tells: fail-over, restart, snapshots of a million keys
	$(GO) test -count=1 -v -timeout 0 -run TestFigure ./integration/faults -figures
SIMULATIONS ?= 10000

simulate: ## Run SIMULATIONS (10000) simulated clusters of raft/ with faults, in simulated time
	$(GO) test ./raft -run 'TestSimulation$$' -timeout 0 -v -sim.rounds $(SIMULATIONS)

lint: $(GOLANGCI_LINT) ## Run the linters (built into bin/tools the first time)
	$(GOLANGCI_LINT) run ./...

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/$(BIN)/tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv $(BIN)/tools/golangci-lint $@

vulncheck: $(GOVULNCHECK) ## Look for known vulnerabilities in what is linked (asks vuln.go.dev; says so if it cannot)
	@if $(GOVULNCHECK) ./... >$(BIN)/vulncheck.txt 2>&1; then cat $(BIN)/vulncheck.txt; \
	elif grep -q 'fetching vulnerabilities' $(BIN)/vulncheck.txt; then \
	  { echo '******************************************************************************'; \
	    echo '** NOT CHECKED FOR VULNERABILITIES: their database could not be reached.'; \
	    echo '** Nothing is known about this build. Run make vulncheck where it can be.'; \
	    echo "** $$(tail -n 1 $(BIN)/vulncheck.txt)"; \
	    echo '******************************************************************************'; } >&2; \
	else cat $(BIN)/vulncheck.txt; exit 1; fi

$(GOVULNCHECK):
	GOBIN=$(CURDIR)/$(BIN)/tools $(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)
	@mv $(BIN)/tools/govulncheck $@

fuzz: ## Run each fuzz target for FUZZTIME (10s)
	@for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

# What etcd's server drags in concerns nobody who builds Nexus: it is a module of its own.
BENCH = $(GO) build -trimpath -o $(BIN)/bench ./bench && exec $(BIN)/bench -bin $(BIN)

bench: deps build ## Measure a cluster of three against the same redis-server driven directly, 3 minutes (BENCH_ARGS=-h tells more)
	@$(BENCH) $(BENCH_ARGS)

bench-mysql: deps build ## The same for MySQL, with sysbench, beside semi-synchronous replication and Galera (galera-4, mariadb-backup, socat)
	@$(BENCH) -mysql $(BENCH_ARGS)

bench-full: deps build bench-etcd ## Measure everything, with etcd and distant nodes, for docs/performance.md, half an hour (BENCH_ARGS="-only wan")
	@$(BENCH) -full $(BENCH_ARGS)

bench-etcd: # the server, and what drives it
	@$(GO) build -C bench/etcd -trimpath -o $(CURDIR)/$(BIN)/etcd go.etcd.io/etcd/server/v3
	@$(GO) build -C bench/etcd -trimpath -o $(CURDIR)/$(BIN)/etcdload .

bench-micro: ## Run the benchmarks of single stages: parse, propose, log, transport, apply, reply
	$(GO) test -run '^$$' -bench . -benchmem $(MICRO)

# The tool runs on this machine, whatever it packs for.
PACK = env -u GOOS -u GOARCH $(GO) run ./deploy/pack -version $(VERSION) -commit $(COMMIT) -date $(DATE)

dist: ## Package the programs as dist/nexus-VERSION-GOOS-GOARCH.tar.gz, and a .deb for Linux (make GOOS=linux dist)
	@$(PACK) -targets $$($(GO) env GOOS)/$$($(GO) env GOARCH)

dist-all: ## The same for linux/amd64, linux/arm64, darwin/amd64 and darwin/arm64
	@$(PACK) -targets linux/amd64,linux/arm64,darwin/amd64,darwin/arm64

certs: ## Make certificates for trying out TLS in certs/, if none are there (make certs HOSTS="10.0.0.1 db.example")
	$(GO) run ./integration/makecerts -dir certs $(HOSTS)

generate: ## Generate the code of the gRPC service from its .proto
	proxy/admin/nexuspb/generate.sh

clean: ## Remove what make built; ./data and the installed tools stay
	rm -rf dist $(addprefix $(BIN)/,$(COMMANDS) localcluster soak bench etcd etcdload)

deps: ## Install the servers and clients of Debian where apt and root are there, else say what to install
	@.ci/deps
