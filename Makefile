# The Go version is that of go.mod, here and in the Dockerfile.
GO_VERSION := $(shell sed -n 's/^go //p' go.mod)

# Tools, each at one version, built and cached by the go command; they are not in go.mod, except protoc-gen-go, which make proto runs.
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOFUMPT     := go run mvdan.cc/gofumpt@v0.12.0

# Stamped into the binary; empty without git or a tag.
COMMIT  := $(shell git describe --always --abbrev=40 --exclude '*' --dirty=-modified 2>/dev/null)
RELEASE := $(shell git describe --tags --exact-match 2>/dev/null)
LDFLAGS := -s -w -X main.commit=$(COMMIT) -X main.release=$(RELEASE)

# Without it grpc-go brings templates for pages that nobody serves, and the linker keeps every method for them: 38 MB in place of 25.
TAGS    := grpcnotrace

CADDY_VERSION ?= v2.11.9
BUF_VERSION   ?= 1.75.0

IMAGE    ?= cloakroom
FUZZTIME ?= 30s
OPS      ?= 2000000
RACE_OPS ?= 3000

# The directories of the packages that have a function whose name begins with $(1).
packages = $(sort $(dir $(shell grep -rl --include='*_test.go' '^func $(1)' .)))

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Build, and run with sample sessions in a private Redis
	@bin/cloakroom dev

.PHONY: build
build: ## Build bin/cloakroom
	@echo "building bin/cloakroom; the first time this takes a few minutes"
	@CGO_ENABLED=0 go build -trimpath -tags '$(TAGS)' -ldflags '$(LDFLAGS)' -o bin/cloakroom ./cmd/cloakroom

# Vet is part of make lint. Without DWARF a binary is linked in a third of the time, and stacks are the same.
TEST := go test -vet=off -ldflags=-w -count=1 -shuffle=on -timeout 20m $(if $(CHECK),-exec 'env -u GOGC')
# The race detector finds something where callers are concurrent, and is slow: it sees a share of each long test. Each package's tests
# are a program of their own, which takes seconds to link: those of the packages that use package sync, but not those that are for tests, and of the bench harness only the engine's.
# Those of cmd/cloakroom run most of it in processes of their own, without the detector: only make race has them, rpc, which brings gRPC, and
# START: packages whose goroutines meet when the program starts, or when a file changes.
START := httpapi/(assertion|imports)|internal/(doctor|followed|listen|logs|metrics|readiness|redisconn|redisinfo)
RACES = $$(grep -rlE --include='*.go' --exclude='*_test.go' '"sync(/atomic)?"|/errgroup"' cache httpapi index internal upstream | xargs dirname | sort -u | grep -vE '^internal/(lookalike|observed|oidc/oidctest|protojson|redistest|session|storetest|testdepth|zitadeltest)$$' | sed 's|^|./|') ./bench/load
RACED = $$(echo $(RACES) | tr ' ' '\n' | grep -vE '^\./($(START))$$')

# Tests with one caller after the other tell the race detector nothing, and these take it longest. make race has them.
LONE := TestI9_Cluster/as_the_model|MemoryStaysBounded|AuditAgreesWithBruteForce|AuditFindsAndRepairs|UnusedCopiesAreRemoved|I10_MadeUpTokens|I10_ReadsAreSmall|LimitIsIntroduced|WhatIsDocumentedHappens|SaysWhatVerifyAnswers|JWTsAsTheModel|RecordedZITADEL|Golden|CutAnywhere|ImportCut|ARightIsMissing|EveryKeyIsNeeded|DeepPages|PagesOverABacklog|ReadsInChunks|MiniredisAnswers|AnyByteDamaged|ConstantMemory|PermissionTable|StoreAnswersAsTheModel|FirstPageOfACliff|Contract_|Explain_(AnswersAsSearch|EachMasterCounts|EveryWay)|SearchStats_Plans

# These run many processes each, whose gateways wait for 100 ms, or a browser: two of them at a time would starve each other, and
# all others, on a small machine.
ALONE    := ./test/console ./test/gateways ./test/torture
# Those that take longest begin first, so that none is left over in the end, alone on the machine.
TOGETHER  = ./test/clients ./cache ./httpapi ./cmd/cloakroom $$(go list ./... | grep -vE '/test/(console|gateways|torture)$$')

# Built once for all packages that run the program.
BUILT := go build -ldflags='-s -w' -o bin/tested/cloakroom ./cmd/cloakroom && CLOAKROOM_TEST_PROGRAM=$(CURDIR)/bin/tested/cloakroom

SHARE := $(if $(FULL),,-short)

.PHONY: test
test: redis gateways postgres prometheus shells ## Run the tests, of the long ones a share; FULL=1: all of them
	@command -v node >/dev/null && command -v npm >/dev/null || echo "test/clients is left out: node or npm is not on PATH (make node installs them)"
	@command -v node >/dev/null && command -v chromium >/dev/null || echo "test/console is left out: node or chromium is not on PATH (make node chromium installs them)"
	$(BUILT) $(TEST) $(SHARE) $(TOGETHER)
	$(BUILT) $(TEST) $(SHARE) -p 1 $(ALONE)

.PHONY: redis
redis: ## Make sure that a redis-server is installed
	@.ci/install-redis

.PHONY: gateways
gateways: ## Make sure that nginx, HAProxy, Caddy and PHP are installed
	@.ci/install-gateways

.PHONY: postgres
postgres: ## Make sure that PostgreSQL is installed, for the tests of bench/peers
	@.ci/install-postgres

.PHONY: shells
shells: ## Make sure that bash, zsh and fish are installed, for the tests of completion
	@.ci/install-shells

.PHONY: prometheus
prometheus: ## Make sure that Prometheus and promtool are installed, for test/prometheus
	@.ci/install-prometheus

# Rolling restarts are behind nginx and HAProxy, and take minutes: they are left out here.
.PHONY: newest-caddy
newest-caddy: redis gateways bin/caddy-$(CADDY_VERSION)/caddy ## Build Caddy CADDY_VERSION, and run the tests of gateways with it
	PATH="$(abspath bin/caddy-$(CADDY_VERSION)):$$PATH" $(TEST) -skip RollingRestart ./test/gateways

bin/caddy-$(CADDY_VERSION)/caddy:
	GOBIN=$(abspath $(@D)) go install github.com/caddyserver/caddy/v2/cmd/caddy@$(CADDY_VERSION)

.PHONY: node
node: ## Make sure that Node.js and npm are installed, for test/clients and test/console
	@.ci/install-node

.PHONY: chromium
chromium: ## Make sure that Chromium is installed, for test/console
	@.ci/install-chromium

.PHONY: race-share
race-share: redis gateways ## Run a share of the tests that are in one process with the race detector
	CLOAKROOM_TEST_OPS=$(RACE_OPS) $(TEST) -race -short -skip '$(LONE)' $(RACED)

.PHONY: race
race: redis gateways ## Run all tests that are in one process with the race detector (needs a C compiler)
	CLOAKROOM_TEST_OPS=$(RACE_OPS) $(TEST) -race $(RACES) ./cmd/cloakroom ./rpc

# The installations come one after the other: package managers lock. Then lint, which only computes, runs beside a share of the tests with the
# race detector, which often wait, and compiles what the tests without it need. Compilers take a quarter less time if they collect garbage rarely
# and write no DWARF; tests run with the ordinary GOGC.
.PHONY: check
check: ## Do what CI does: lint, a share of the tests with -race, and make test, with what needs Node.js or a browser
	@$(MAKE) --no-print-directory redis gateways postgres prometheus shells node chromium
	@export GOGC=400 GOFLAGS="$$(go env GOFLAGS) -gcflags=all=-dwarf=false" CHECK=1; CLOAKROOM_TEST_NODE=required CLOAKROOM_TEST_POSTGRES=required CLOAKROOM_TEST_SHELLS=required sh -ec '\
		$(MAKE) --no-print-directory --jobs=2 --output-sync=line lint race-share; \
		$(MAKE) --no-print-directory test'

.PHONY: lint
lint: fmt-check vet staticcheck tidy-check ## Check format, vet, staticcheck and go.mod

.PHONY: fmt
fmt: ## Format all Go files
	@$(GOFUMPT) -w .

.PHONY: fmt-check
fmt-check:
	@files=$$($(GOFUMPT) -l .) || exit 1; \
	if [ -n "$$files" ]; then echo "not formatted (make fmt):"; echo "$$files"; exit 1; fi

.PHONY: vet
vet:
	go vet ./...

.PHONY: staticcheck
staticcheck: vet # which compiles what it needs
	$(STATICCHECK) ./...

.PHONY: tidy-check
tidy-check: ## Check that go.mod and go.sum are tidy
	go mod tidy -diff

.PHONY: proto
proto: node ## Generate rpc/pb from rpc/proto
	cd rpc && npx --yes @bufbuild/buf@$(BUF_VERSION) generate

.PHONY: pictures
pictures: redis node chromium ## Take the pictures of the console in docs/
	CLOAKROOM_TEST_PICTURES=$(abspath docs) CLOAKROOM_TEST_NODE=required go test -vet=off -count=1 ./test/console -run '^TestPictures$$'

.PHONY: openapi-client
openapi-client: ## Generate test/clients/goclient from the OpenAPI document
	go test -vet=off ./test/clients -run TestGoClientIsOfThisDocument -update

.PHONY: deploy-check
deploy-check: ## Hold the files of deploy/ against the schemas of Kubernetes, Compose and systemd
	@.ci/deploy-check

.PHONY: deploy-boot
deploy-boot: build redis ## Boot a systemd in a container (root, Linux) and run cloakroom.service in it
	@.ci/deploy-boot

.PHONY: bench
bench: redis ## Run the Go micro-benchmarks
	go test -run '^$$' -bench . -benchmem $(call packages,Benchmark)

.PHONY: move
move: redis ## Move a million sessions out of a store and into another one, and compare
	CLOAKROOM_MOVE_SESSIONS=1000000 go test ./cache/transfer -run '^TestMove_Many$$' -v -timeout 60m

.PHONY: load
load: redis ## Run every kind of load for a few seconds; results in bench/results
	@bench/load.sh

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (30s)
	@set -e; for dir in $(call packages,Fuzz); do \
		for target in $$(grep -h '^func Fuzz' $$dir*_test.go | sed 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/'); do \
			echo "$$dir $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir; \
		done; \
	done

.PHONY: property
property: redis ## Run the property tests with OPS operations (2000000)
	CLOAKROOM_TEST_OPS=$(OPS) go test -count=1 -v -timeout 24h -run 'TestI9' $(call packages,TestI9)

TORTURE_REPORT ?= test/torture/results/$(shell date -u +%Y-%m-%d)

.PHONY: torture
torture: redis ## Break the program, and all around it, under load; report in TORTURE_REPORT
	CLOAKROOM_TORTURE_RACE=1 CLOAKROOM_TORTURE_ROUNDS=2 CLOAKROOM_TORTURE_FAULT=3s CLOAKROOM_TORTURE_KILLS=1000 CLOAKROOM_TORTURE_OPS=1000000 \
		CLOAKROOM_TORTURE_OVERLOAD=10s CLOAKROOM_TORTURE_CROWD=12000 CLOAKROOM_TORTURE_COSTLY=20000 \
		CLOAKROOM_TORTURE_REPORT=$(abspath $(TORTURE_REPORT)) CLOAKROOM_TORTURE_SECONDS=60 go test -count=1 -v -p 1 -timeout 60m ./test/torture ./test/linear

.PHONY: cover
cover: redis gateways postgres prometheus shells ## Measure the tests' coverage: total here, details in cover.html
	go test -count=1 -timeout 10m -coverpkg=./... -coverprofile=cover.out ./...
	@go tool cover -html=cover.out -o cover.html
	@go tool cover -func=cover.out | tail -n 1

.PHONY: docker
docker: ## Build the container image IMAGE (cloakroom)
	docker build --build-arg GO_VERSION=$(GO_VERSION) --build-arg LDFLAGS='$(LDFLAGS)' -t $(IMAGE) .

.PHONY: clean
clean: ## Remove what the other targets made
	@rm -rf bin cover.out cover.html test/clients/node_modules test/console/node_modules
