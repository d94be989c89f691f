# playbookd: what developers do. `make` alone says what there is.
GO       ?= go
LINT_VER := v2.15.0
FUZZTIME ?= 10s

.DEFAULT_GOAL := help

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

test: ## the tests that the README names
	$(GO) test ./...

race: ## the same under the race detector
	$(GO) test -race ./...

vet: ## go vet and gofmt
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt-ed: $$out"; exit 1; fi
	$(GO) vet ./...

lint: ## golangci-lint, at the pinned version
	@golangci-lint version 2>/dev/null | grep -q '$(LINT_VER:v%=%)' || $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VER)
	PATH="$$($(GO) env GOPATH)/bin:$$PATH" golangci-lint run ./...

generate: ## make the generated files anew
	$(GO) generate ./...

generated: generate ## fail if a generated file is not in step with the code
	@git diff --exit-code -- docs playbooks/schema || { echo "generated files are out of step: run make generate and commit"; exit 1; }

kill: ## SIGKILL the demo at random moments, many times, and compare journal and effects
	PLAYBOOKD_KILLS=$${PLAYBOOKD_KILLS:-40} $(GO) test ./internal/demo -run TestKilled -count=1 -v

sweep: ## SIGKILL the daemon at every write and every exchange, one at a time, and look at what is left
	PLAYBOOKD_SWEEP=all $(GO) test ./internal/sweep -count=1 -v -timeout 30m

mutants: ## break one rule at a time and see that the tests which guard it fail
	$(GO) test -tags mutant ./internal/mutant -count=1 -v -timeout 30m

seeds: ## the demo end to end over many seeds and faults
	PLAYBOOKD_SEEDS=$${PLAYBOOKD_SEEDS:-20} $(GO) test ./internal/demo -run TestDemo -count=1 -v

stress: ## the daemon under more than it can do at once: 100,000 alerts, floods, backlogs; with its memory
	PLAYBOOKD_STRESS=full $(GO) test ./internal/stress -count=1 -timeout 30m -v

powerloss: ## cut the power beneath the journal at many moments and look at what is left; bad disks
	PLAYBOOKD_CUTS=$${PLAYBOOKD_CUTS:-600} PLAYBOOKD_POWER_CUTS=$${PLAYBOOKD_POWER_CUTS:-25} \
		PLAYBOOKD_DISK_MOMENTS=$${PLAYBOOKD_DISK_MOMENTS:-12} $(GO) test ./internal/powerloss -count=1 -timeout 20m -v

soak: ## weeks of simulated time, several seeds: PLAYBOOKD_SOAK_SEEDS=1,2,3 PLAYBOOKD_SOAK_DAYS=30
	PLAYBOOKD_SOAK_SEEDS=$${PLAYBOOKD_SOAK_SEEDS:-1,2,3} PLAYBOOKD_SOAK_DAYS=$${PLAYBOOKD_SOAK_DAYS:-30} \
		$(GO) test ./internal/soak -count=1 -timeout 60m -v

robustness: ## every robustness suite in full, and docs/robustness.md from what they wrote down
	PLAYBOOKD_RECORD=$(CURDIR)/docs/robustness $(MAKE) sweep powerloss soak stress
	PLAYBOOKD_RECORD=$(CURDIR)/docs/robustness $(GO) test ./internal/killer ./engine/enginetest -count=1
	$(MAKE) generate

fuzz: ## every fuzz target for FUZZTIME; the targets are found by their declarations
	@grep -roE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file decl; do \
		echo "$$(dirname $$file) $${decl#func }"; \
		$(GO) test -run '^$$' -fuzz "^$${decl#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$(dirname $$file)" || exit 1; \
	done

bench: ## what a run costs, beside a minimal program by hand; then the benchmarks of the packages
	$(GO) run ./internal/bench
	$(GO) test -run '^$$' -bench . -benchtime 1s ./...

check: vet lint test generated ## what a change should pass before it is shown

.PHONY: help test race vet lint generate generated kill sweep mutants seeds stress powerloss soak robustness fuzz bench check
