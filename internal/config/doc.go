// Package config is the configuration of a process and the one home of YAML:
// strict files that report every mistake at once with its line, PRICELAKE_…
// variables, and secrets that are only ever references. The comments of its
// fields are the reference for users, docs/configuration.md.
package config

//go:generate go run ./reference . ../../docs/configuration.md
