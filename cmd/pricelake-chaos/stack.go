package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/fault"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/proc"
	"github.com/pricelake/pricelake/internal/freeport"
)

// servers are Kafka, registry and ClickHouse of a run: started by it and ended
// with it, or given.
type servers struct {
	kafka      string // host:port of a broker
	registry   string // URL
	native     string // of ClickHouse, host:port
	http       string // of ClickHouse, URL
	account    account
	processes  []*proc.Process
	self       string
	dir        string
	clickHouse string // folder of the embedded one
}

// startServers starts what was not given.
func startServers(ctx context.Context, o *options, dir string) (s *servers, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	s = &servers{self: self, dir: dir, kafka: first(o.brokers), registry: o.registry,
		native: o.clickHouse, http: o.clickHouseHTTP, account: account{o.clickHouseUser, o.clickHousePassword}}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.kafka == "" {
		if err := s.startKafka(ctx, o); err != nil {
			return nil, err
		}
	}
	if s.registry == "" {
		addr, err := freeport.Addr()
		if err != nil {
			return nil, err
		}
		s.registry = "http://" + addr
		if err := s.start(ctx, fault.Registry, []string{childAddrEnv + "=" + addr}, answersAt(s.registry+"/subjects"), nil); err != nil {
			return nil, err
		}
	}
	if s.native == "" {
		return s, s.startClickHouse(ctx)
	}
	return s, nil
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}

func (s *servers) startKafka(ctx context.Context, o *options) error {
	addr, err := freeport.Addr()
	if err != nil {
		return err
	}
	s.kafka = addr
	if o.on == onEmbedded {
		return s.start(ctx, fault.Broker, []string{childAddrEnv + "=" + addr}, listens(addr), nil)
	}
	argv, addr, err := prepareKafka(ctx, o, filepath.Join(s.dir, fault.Broker), addr)
	if err != nil {
		return err
	}
	s.kafka = addr
	return s.run(ctx, proc.Spec{Name: fault.Broker, Argv: argv, Env: os.Environ(), Ready: listens(addr)})
}

func (s *servers) startClickHouse(ctx context.Context) error {
	native, err := freeport.Addr()
	if err != nil {
		return err
	}
	web, err := freeport.Addr()
	if err != nil {
		return err
	}
	s.native, s.http = native, "http://"+web
	s.clickHouse = filepath.Join(s.dir, fault.ClickHouse)
	env := []string{childNativeEnv + "=" + native, childHTTPEnv + "=" + web}
	file := filepath.Join(s.clickHouse, clickHouseFile)
	ready := func(ctx context.Context) error {
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &s.account)
		}
		return errors.Join(err, answersAt(s.http+"/ping")(ctx))
	}
	return s.start(ctx, fault.ClickHouse, env, ready, s.enginePid)
}

// enginePid is the process of the engine, which is no child of ours.
func (s *servers) enginePid() []int {
	var record struct{ PID int }
	text, err := os.ReadFile(filepath.Join(s.clickHouse, "clickhouse", "child.json"))
	if err != nil || json.Unmarshal(text, &record) != nil || record.PID <= 1 {
		return nil
	}
	return []int{record.PID}
}

// start starts a server of this binary.
func (s *servers) start(ctx context.Context, name string, env []string, ready func(context.Context) error, also func() []int) error {
	folder := filepath.Join(s.dir, name)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("making a folder for %s: %w", name, err)
	}
	env = append(cleanEnv(), append(env, childDirEnv+"="+folder)...)
	return s.run(ctx, proc.Spec{Name: name, Argv: []string{s.self, childCommand, name}, Env: env, Ready: ready, Also: also})
}

func (s *servers) run(ctx context.Context, spec proc.Spec) error {
	spec.Log, spec.Pause = filepath.Join(s.dir, "logs", spec.Name+".log"), restartPause
	p, err := proc.Start(spec)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	return p.AwaitReady(ctx)
}

const (
	restartPause  = 200 * time.Millisecond
	startPatience = time.Minute
	stopPatience  = 10 * time.Second
)

// stop ends the servers, the last started first.
func (s *servers) stop() {
	for _, p := range slices.Backward(s.processes) {
		p.Stop(stopPatience)
	}
}

func listens(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}

// answersAt says whether a URL is served with status 200.
func answersAt(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("%s: status %d", url, resp.StatusCode)
		}
		return nil
	}
}
