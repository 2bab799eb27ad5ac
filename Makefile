# Two commands are all a newcomer needs: make demo, make test.
# On Debian 12 as root they install what is missing themselves (make tools).

SHELL := /bin/bash
.DELETE_ON_ERROR:
CACHE := $(CURDIR)/.cache
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GO := go
export GOFLAGS ?= -buildvcs=false

.PHONY: help build demo golden test torture hostile fuzz check tools system bench simulate mutants image clean

help: ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

system: ## Install the Debian packages that building and testing need (root; nothing if all are there)
	@deploy/tools/apt.sh
	@command -v $(GO) >/dev/null || { echo 'make: Go is not installed, or not on PATH: get 1.26 or newer from https://go.dev/dl'; exit 1; }

build: system ## Build bin/millrace
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/millrace ./services/millrace

demo: build ## Push real media through the embedded stack and show what comes out
	@deploy/demo.sh

tools: system ## Fetch what the tests run against: Apache Kafka, versitygw, Python readers
	@deploy/tools/kafka.sh fetch $(CACHE)/kafka
	@deploy/tools/versitygw.sh $(CACHE)/bin
	@testdata/readers/setup.sh $(CACHE)/readers

check: system ## Formatting, vet, the arrows between packages
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'not gofmt-ed:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...

test: build tools check golden ## Everything: units, properties, goldens, real Kafka, real S3, real loaders
	$(GO) test -race -timeout 30m -p 2 ./...

golden: system ## Print how arrays, packs, picks, features and odd videos compare with the models' processors and FFmpeg
	$(GO) test -count=1 -v -run 'Golden|TruthTable' ./codecs ./codecs/patch ./codecs/packing ./codecs/mel ./codecs/audio ./codecs/video

torture: build tools ## Attack a fleet on real Kafka and real S3 for half an hour: SEED=n, SHORT=1 for ten minutes
	@mkdir -p build
	$(GO) run ./services/torture -seed $(or $(SEED),1) $(if $(SHORT),-short) $(if $(CAMPAIGN),-campaign $(CAMPAIGN)) -binary bin/millrace -report build/torture-$(or $(SEED),1).json

hostile: build tools ## Send malformed media through a real Kafka and a real worker: FILES=20000 SEED=1 REFUSALS=1
	$(GO) test ./services/hostile -count=1 -timeout 0 -v -run 'TestCorpus$$' -files $(or $(FILES),20000) -seed $(or $(SEED),1) -refusals $(or $(REFUSALS),1)

fuzz: system ## Run the fuzz targets one after the other, each for TIME=30s: ONLY=pattern WORKERS=2
	@deploy/fuzz.sh $(or $(TIME),30s) '$(or $(ONLY),.)' $(or $(WORKERS),2)

simulate: system ## Run fleets in virtual time against faults: SEEDS=10000 FIRST=1
	$(GO) test ./services/worker/simulation -count=1 -timeout 0 -v -run 'TestSeeds|TestReplay' -seeds $(or $(SEEDS),10000) -first $(or $(FIRST),1)

mutants: system ## Put known mistakes into the commit protocol, one at a time; the simulation must catch each
	$(GO) test ./services/worker/simulation -count=1 -timeout 0 -v -run TestMutants -mutants all

bench: build ## Throughput and memory beside ffmpeg on the same cores
	@deploy/bench.sh

image: ## Build the container image, millrace:local
	docker build -f deploy/Dockerfile --build-arg VERSION=$(VERSION) -t millrace:local .

clean: ## Remove what was built; .cache stays
	rm -rf bin build .millrace
