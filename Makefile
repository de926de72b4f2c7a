# opsdeck: everything a developer or an operator runs. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

MODULES := proto pkg services/auth services/dns services/replication-jobs gateway deploy/standalone
TOOLS   := $(CURDIR)/bin/tools
GOLINT  := $(TOOLS)/golangci-lint
BUF     := $(TOOLS)/buf
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X github.com/opsdeck/opsdeck/pkg/app.Version=$(VERSION)
PACKAGES = $(addsuffix /...,$(addprefix ./,$(MODULES)))

# What bench-replication is told, for example BENCH="-rows 20000 -transactions 10000", and a directory on a disk.
BENCH      ?=
BENCH_DISK ?=

export PATH := $(TOOLS):$(PATH)

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## install the servers that opsdeck runs and tests with (apt, as root)
	@deploy/scripts/setup.sh

.PHONY: build
build: ## build the opsdeck binary and the services' own into bin/
	go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./deploy/standalone/cmd/opsdeck ./gateway/cmd/gateway \
		./services/auth/cmd/auth ./services/replication-jobs/cmd/replication-jobs ./services/replication-jobs/cmd/worker \
		./services/dns/cmd/dns ./services/dns/cmd/opsdeck-bind-agent

.PHONY: demo
demo: setup build ## migrate a live database in front of your eyes, then leave nothing running
	bin/opsdeck demo

.PHONY: run
run: setup build ## start opsdeck on http://127.0.0.1:8190 with its data in ./data
	bin/opsdeck standalone --data ./data

.PHONY: test
test: setup ## run every test, race detector on
	go vet $(PACKAGES)
	go test -race -timeout 45m $(PACKAGES)

.PHONY: test-interop
test-interop: setup ## replicate between MySQL and MariaDB servers, from Dolt, and to Apache Kafka, all fetched once (needs Java, Maven, kcat)
	deploy/scripts/interop.sh
	deploy/scripts/interop-mysql.sh
	deploy/scripts/interop-kafka.sh

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 20s) each
	deploy/scripts/fuzz.sh $(MODULES)

.PHONY: bench
bench: setup build ## measure the gateway and the engine beside their peers, in one run
	go run ./deploy/standalone/cmd/bench

.PHONY: bench-replication
bench-replication: setup build ## measure replication beside all its peers, on a RAM disk and on the disk, and subscriptions beside the parser
	command -v mydumper >/dev/null || apt-get install --yes --no-install-recommends mydumper
	go run ./deploy/standalone/cmd/bench -dir /dev/shm $(BENCH) replication
	go run ./deploy/standalone/cmd/bench -dir "$(BENCH_DISK)" -rounds 1 $(BENCH) replication
	cd services/replication-jobs && go test -run '^$$' -bench Follow -benchtime 3x ./internal/feed

.PHONY: lint
lint: tools check-generated breaking vuln ## everything CI holds against the source
	$(BUF) lint
	@for m in $(MODULES); do echo "golangci-lint $$m"; (cd $$m && $(GOLINT) run --config $(CURDIR)/.golangci.yml ./...); done

.PHONY: fmt
fmt: tools ## format the source
	@for m in $(MODULES); do (cd $$m && $(GOLINT) fmt --config $(CURDIR)/.golangci.yml ./...); done
	$(BUF) format -w --path proto/opsdeck

.PHONY: tools
tools: ## build the pinned tools into bin/tools
	@mkdir -p $(TOOLS)
	cd tools && GOWORK=off go build -o $(TOOLS)/ tool

.PHONY: proto
proto: tools ## regenerate Go, OpenAPI and the configuration reference
	rm -rf proto/third_party proto/gen && mkdir -p proto/third_party
	cd tools && GOWORK=off go run ./thirdparty ../proto/third_party
	$(BUF) generate
	$(BUF) generate --template gateway/internal/trial/buf.gen.yaml
	cd gateway && go run ./internal/openapi/gen
	go run ./deploy/standalone/cmd/opsdeck config > docs/configuration.md

.PHONY: check-generated
check-generated: proto
	@test -z "$$(git status --porcelain -- proto/gen gateway/internal/openapi gateway/internal/trial docs/configuration.md)" || \
		{ git status --short -- proto/gen gateway/internal/openapi gateway/internal/trial docs/configuration.md; echo 'generated files are stale: run make proto and commit'; exit 1; }

.PHONY: breaking
breaking: proto
	@deploy/scripts/breaking.sh $(BUF)

.PHONY: vuln
vuln: tools
	@deploy/scripts/vuln.sh $(TOOLS)/govulncheck $(MODULES)

.PHONY: tidy
tidy: ## tidy every module
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy); done

.PHONY: clean
clean: ## remove what was built
	rm -rf bin proto/third_party
