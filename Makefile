# Nexus. `make` alone says what there is.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c

GO       ?= go
BIN      := bin
COMMANDS := $(notdir $(patsubst %/main.go,%,$(wildcard cmd/*/main.go)))

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --verify -q HEAD 2>/dev/null || echo unknown)
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
LDFLAGS := -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)

GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT         := $(BIN)/tools/golangci-lint-$(GOLANGCI_LINT_VERSION)

# Packages in which goroutines meet; the race detector runs on these.
CONCURRENT := ./raft/... ./appliers/... ./proxy/...

FUZZTIME ?= 10s

.DEFAULT_GOAL := help
.PHONY: help build run test test-race simulate lint fuzz bench dist generate clean deps

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## Build the programs into bin/ (make GOOS=... GOARCH=... build for another platform)
	@mkdir -p $(BIN)
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ $(addprefix ./cmd/,$(COMMANDS))

run: deps build ## Start three redis-servers and three nodes on this machine; Ctrl-C stops them, ./data stays
	@$(GO) build -trimpath -o $(BIN)/localcluster ./integration/localcluster
	@exec $(BIN)/localcluster -bin $(BIN) -data data

test: deps ## Run all tests: unit tests, and integration tests on real redis-servers
	$(GO) test ./...

test-race: deps ## Run the tests of the concurrent packages under the race detector
	$(GO) test -race $(CONCURRENT)

simulate: ## Run ROUNDS (10000) simulated clusters of raft/ with faults, in simulated time
	$(GO) test ./raft -run 'TestSimulation$$' -timeout 0 -v -sim.rounds $(or $(ROUNDS),10000)

lint: $(GOLANGCI_LINT) ## Run the linters (built into bin/tools the first time)
	$(GOLANGCI_LINT) run ./...

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/$(BIN)/tools $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	@mv $(BIN)/tools/golangci-lint $@

fuzz: ## Run each fuzz target for FUZZTIME (10s)
	@for package in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
	    echo "$$package $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
	  done; \
	done

bench: deps build ## Measure a cluster of three against the same redis-server driven directly
	$(GO) run ./bench -bin $(BIN)

dist: ## Package the programs as dist/nexus-VERSION-GOOS-GOARCH.tar.gz (make GOOS=linux dist)
	@os=$$($(GO) env GOOS) arch=$$($(GO) env GOARCH); \
	name=nexus-$(VERSION)-$$os-$$arch; \
	rm -rf dist/$$name && mkdir -p dist/$$name/bin; \
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w $(LDFLAGS)' -o dist/$$name/bin/ $(addprefix ./cmd/,$(COMMANDS)); \
	cp -R $(wildcard LICENSE README.md CHANGELOG.md docs) dist/$$name/; \
	tar -C dist -czf dist/$$name.tar.gz $$name; \
	rm -rf dist/$$name; \
	echo dist/$$name.tar.gz

generate: ## Generate the code of the gRPC service from its .proto
	proxy/admin/nexuspb/generate.sh

clean: ## Remove what make built; ./data and the installed tools stay
	rm -rf dist $(addprefix $(BIN)/,$(COMMANDS) localcluster)

deps: ## Install redis-server and redis-tools where apt and root are there, else say what to install
	@.ci/deps
