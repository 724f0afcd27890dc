.PHONY: life mutants build test race lint up services stop-services fuzz bench clean

build: ## the binary, without cgo
	CGO_ENABLED=0 go build -o bin/pricelake ./cmd/pricelake

test: ## what the README says
	go test ./...

race: ## what CI adds
	go test -race -shuffle=on ./...

lint:
	.ci/lint

up: build ## everything embedded, against the built-in simulator
	bin/pricelake up --demo

services: ## Apache Kafka, Apicurio Registry and ClickHouse on the usual ports, for roles that run on their own
	.ci/services start

stop-services: ## what they hold is kept
	.ci/services stop

life: ## roles stopped, rolled and killed on Apache Kafka: TestLife alone; a machine with other work to do fails it
	CI=true go test -v -timeout 30m -run 'TestLife$$' ./internal/e2e

mutants: ## plant known faults one by one and show what finds each
	.ci/mutants

fuzz: ## every fuzz target for a short while
	.ci/fuzz 20s

bench:
	go test -run '^$$' -bench . -benchmem ./...

clean:
	rm -rf bin dist
