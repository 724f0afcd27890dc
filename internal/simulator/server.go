package simulator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/ops"
)

// Server is the simulator. It is safe for parallel use.
type Server struct {
	cfg    Config
	log    *slog.Logger
	ledger *ledger

	mu       sync.Mutex // guards what follows
	world    *world
	schedule *schedule
	asked    map[string]int64    // requests so far, by address
	previous map[string]previous // last good answer, by address
	saved    []Restatement       // what StateFile holds
}

// previous is an answer that can be repeated.
type previous struct {
	id      string
	answer  answer
	version int       // of the bank, for fixings
	day     time.Time // newest day, for fixings
}

// maxAddresses bounds what is remembered by address. A client that makes up
// more has its counts begin anew.
const maxAddresses = 4096

// New makes a server. It listens to nothing and starts nothing.
func New(cfg Config) *Server {
	cfg = cfg.withDefaults()
	return &Server{
		cfg:      cfg,
		log:      cfg.Log,
		ledger:   newLedger(newRun(), cfg.LedgerEntries, cfg.LedgerBytes),
		world:    newWorld(cfg.Seed, cfg.Clock),
		schedule: newSchedule(cfg.Seed, cfg.Rates),
		asked:    map[string]int64{},
		previous: map[string]previous{},
	}
}

// newRun is random: ids in a lake that outlives this simulator must not meet
// those of another.
func newRun() string {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return "s" + hex.EncodeToString(b[:])
}

// Handler answers for the providers, the ledger and the control. Requests with a
// Host or Origin other than this machine's, or one of Config.Hosts, are refused.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /ledger", s.serveLedger)
	mux.HandleFunc("GET /ledger/summary", s.serveSummary)
	mux.HandleFunc("POST /control", s.serveControl)
	for _, route := range routes() {
		mux.HandleFunc("GET /"+route.provider+route.pattern, func(w http.ResponseWriter, r *http.Request) {
			s.serveProvider(w, r, &route)
		})
	}
	mux.HandleFunc("/broken/", func(w http.ResponseWriter, r *http.Request) {
		s.serveFixed(w, r, answer{
			status: http.StatusInternalServerError, contentType: typeJSON, body: []byte(`{"message":"out of order"}`),
		})
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.serveFixed(w, r, answer{status: http.StatusNotFound, contentType: typeText, body: []byte("404 page not found\n")})
	})
	return ops.LoopbackOnly(mux, s.cfg.Hosts...)
}

// Run serves on the listener until ctx ends, which is no error. It closes the
// listener.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	if err := s.loadState(); err != nil {
		return errors.Join(err, l.Close())
	}
	base := context.WithoutCancel(ctx)
	requests, stop := context.WithCancel(base)
	defer stop()
	server := s.httpServer(requests)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("serving simulated price APIs on %q: %w", l.Addr(), err), server.Close())
	case <-ctx.Done():
	}
	stop() // slow answers end now
	grace, done := context.WithTimeout(base, 2*time.Second)
	defer done()
	if server.Shutdown(grace) != nil {
		_ = server.Close() // whoever still reads is cut off
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("ending the simulated price APIs on %q: %w", l.Addr(), err)
	}
	return nil
}

func (s *Server) httpServer(requests context.Context) *http.Server {
	return &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      s.cfg.SlowFor + 30*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		BaseContext:       func(net.Listener) context.Context { return requests },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// serving is one answer on its way.
type serving struct {
	answer  answer
	trouble Trouble
	pace    pace
	address string
	bank    *bank     // whose fixings, if any
	version int       // of the bank when the answer was made
	day     time.Time // newest value date
}

// serveProvider answers one request for prices.
func (s *Server) serveProvider(w http.ResponseWriter, r *http.Request, route *route) {
	path := strings.TrimPrefix(r.URL.Path, "/"+route.provider)
	seq, id := s.ledger.begin(route.provider, path, r.URL.RawQuery, s.cfg.Clock())
	v := s.prepare(r, route, path)
	s.ledger.content(seq, &v.answer, v.trouble)
	whole := v.answer.write(w, r, id, v.pace)
	s.ledger.end(seq, route.provider, v.trouble, v.answer.status, s.cfg.Clock(), !whole)
	if whole && len(v.answer.prices) > 0 && len(v.answer.missing) == 0 {
		s.remember(id, route.provider, &v)
	}
}

// serveFixed answers with the same always, without trouble.
func (s *Server) serveFixed(w http.ResponseWriter, r *http.Request, a answer) {
	provider, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	seq, id := s.ledger.begin(provider, "/"+path, r.URL.RawQuery, s.cfg.Clock())
	s.ledger.content(seq, &a, TroubleNone)
	whole := a.write(w, r, id, pace{})
	s.ledger.end(seq, provider, TroubleNone, a.status, s.cfg.Clock(), !whole)
}

// prepare makes the answer to one request, with the trouble that is due.
func (s *Server) prepare(r *http.Request, route *route, path string) serving {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, refusal := route.ask(s.world, r)
	if refusal != nil {
		return serving{answer: *refusal, trouble: TroubleNone}
	}
	if len(s.asked) >= maxAddresses {
		clear(s.asked)
		clear(s.previous)
	}
	v := serving{address: route.provider + path + "?" + r.URL.RawQuery, bank: q.bank}
	s.asked[v.address]++
	t := turn{server: s, route: route, q: &q, address: v.address, n: s.asked[v.address]}
	v.trouble = s.schedule.pick(s.world.now(), route.provider, path, t.fits)
	v.answer = t.answer(v.trouble)
	if v.trouble == TroubleSlow {
		v.pace = pace{wait: s.cfg.SlowFor, midway: t.choice()%2 == 0}
	}
	if q.bank != nil {
		v.version, v.day = q.bank.version, q.days[0]
	}
	return v
}

// remember keeps an answer that was served whole: it can be repeated, and its
// fixings restated.
func (s *Server) remember(id, provider string, v *serving) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.bank != nil && !v.answer.shared {
		v.bank.markServed(provider, v.answer.prices)
	}
	s.previous[v.address] = previous{id: id, answer: v.answer, version: v.version, day: v.day}
}
