package embed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/pricelake/pricelake/internal/ops"
)

const registryPort = 8081

// RegistryConfig says where the embedded schema registry runs.
type RegistryConfig struct {
	// DataDir is the locked data directory; the registry keeps its state in
	// the file "registry.json" inside.
	DataDir string
	// Addresses chooses the port.
	Addresses *Addresses
	// Addr is a loopback host:port to use; empty lets Addresses choose.
	Addr string
	// Check judges new schemas. Required.
	Check CheckSchema
	// Logger gets the server's errors. Required.
	Logger *slog.Logger
}

// Registry is a schema registry for Avro that speaks the Confluent API. What
// it has acknowledged it remembers, with the same ids, after any restart. It
// never deletes a schema.
type Registry struct {
	addr   string
	server *http.Server
	done   chan struct{}
	err    error // of Serve, valid when done is closed
}

// StartRegistry loads the schemas and begins to serve.
func StartRegistry(_ context.Context, cfg RegistryConfig) (*Registry, error) {
	store, err := openRegistryStore(filepath.Join(cfg.DataDir, "registry.json"), cfg.Check)
	if err != nil {
		return nil, err
	}
	l, err := cfg.Addresses.Listen(ServiceRegistry, cfg.Addr, registryPort)
	if err != nil {
		return nil, err
	}
	r := &Registry{
		addr: l.Addr().String(),
		server: &http.Server{
			Handler:           ops.LoopbackOnly(newRegistryHandler(store)),
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       15 * time.Second,
			WriteTimeout:      15 * time.Second,
			IdleTimeout:       time.Minute,
			MaxHeaderBytes:    16 << 10,
			ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
		},
		done: make(chan struct{}),
	}
	go r.serve(l)
	return r, nil
}

func (r *Registry) serve(l net.Listener) {
	defer close(r.done)
	if err := r.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		r.err = fmt.Errorf("serving the schema registry: %w", err)
	}
}

// URL is the base URL for clients.
func (r *Registry) URL() string { return "http://" + r.addr }

// Run waits until ctx ends and returns nil then; an error says that the
// registry stopped serving by itself.
func (r *Registry) Run(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-r.done:
		return r.err
	}
}

// Close lets running requests finish until ctx ends, then stops.
func (r *Registry) Close(ctx context.Context) error {
	err := r.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, r.server.Close())
	}
	<-r.done
	return errors.Join(err, r.err)
}
