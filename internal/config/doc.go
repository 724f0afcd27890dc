// Package config is the configuration of a process and the one home of YAML:
// strict files that report every mistake at once with its line, PRICELAKE_…
// variables, and secrets that are only ever references.
package config
