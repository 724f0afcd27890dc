package embed

import "log/slog"

// ClickHouseConfig says where and how the embedded ClickHouse runs.
type ClickHouseConfig struct {
	// DataDir is the locked data directory; ClickHouse has the folder
	// "clickhouse" inside, the passwords lie beside it.
	DataDir string
	// Engine is what Locate or Fetch found.
	Engine Engine
	// Addresses chooses the ports.
	Addresses *Addresses
	// NativeAddr and HTTPAddr are loopback host:ports to use; empty lets
	// Addresses choose.
	NativeAddr, HTTPAddr string
	// ChildCommand is the command that calls ChildMain with what is appended
	// to it. Empty means this very binary with the sub-command ChildCommand. A
	// binary built with the race detector cannot be the child.
	ChildCommand []string
	// Databases the owner has all rights in, "test_*" for all with a prefix.
	// Empty means pricelake. The first one is made at the start.
	Databases []string
	// OwnerGrants are further rights of the owner, as GRANT statements.
	OwnerGrants []string
	// UsersDir, if set, is a folder of XML files that say which users there are:
	// they are copied at each start to where a ClickHouse server looks for its
	// users.d, and the owner and the reader are left out.
	UsersDir string
	// Env names variables of this process' environment that the engine may see,
	// for XML files that take values from_env. None else are passed on.
	Env []string
	// AllowConnect lets the engine open connections of its own, which its
	// Kafka engine needs.
	AllowConnect bool
	// MemoryLimit bounds the engine, in bytes. Zero means half of the
	// machine's memory.
	MemoryLimit uint64
	// Logger gets restarts and what the engine said when it could not start.
	// Required.
	Logger *slog.Logger
}
