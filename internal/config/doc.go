// Package config reads what people write: YAML files, strictly and with every
// mistake told at once where it stands, and the configuration of a process from
// file, environment and flags. It is the one package that knows YAML.
package config
