package market

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Trouble is how the API misbehaves for a while.
type Trouble struct {
	// Share of the requests that meet it, from 0 to 1; the kinds take turns.
	Share float64
	Until time.Time
}

// Server is the API: GET /v1/trades/CALL. Everything it says is in the feed's
// ledger.
type Server struct {
	feed *Feed
	now  func() time.Time

	mu      sync.Mutex
	rng     *rand.Rand
	trouble Trouble
}

// NewServer makes a server. It serves nothing yet.
func NewServer(feed *Feed, now func() time.Time) *Server {
	return &Server{feed: feed, now: now, rng: rand.New(rand.NewPCG(feed.world.Seed, 3))}
}

// Disturb makes the API misbehave.
func (s *Server) Disturb(t Trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trouble = t
}

// misfortune is what happens to one request.
type misfortune int

const (
	none        misfortune = iota
	unavailable            // 503
	limited                // 429 with Retry-After
	cutBefore              // the connection is reset before the answer
	cutWithin              // … in the middle of it
	cutAfter               // … after its last byte but one
	slow
	misfortunes
)

// slowness is how long a slow answer takes.
const slowness = 1500 * time.Millisecond

func (s *Server) draw() misfortune {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.now().Before(s.trouble.Until) || s.rng.Float64() >= s.trouble.Share {
		return none
	}
	return 1 + misfortune(s.rng.IntN(int(misfortunes)-1))
}

// Run serves until ctx ends and returns nil then.
func (s *Server) Run(ctx context.Context, l net.Listener) error {
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = srv.Close() // whoever is cut off asks again
	})
	err := srv.Serve(l)
	if stop() {
		return err
	}
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Handler is the API as a handler.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/trades/{call}", s.trades)
	mux.HandleFunc("GET /v1/broken", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this endpoint never works", http.StatusInternalServerError)
	})
	return mux
}

func (s *Server) trades(w http.ResponseWriter, r *http.Request) {
	call, err := strconv.Atoi(r.PathValue("call"))
	if err != nil || call < 0 || call >= s.feed.world.Calls {
		http.NotFound(w, r)
		return
	}
	luck := s.draw()
	switch luck {
	case unavailable:
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	case limited:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "slower", http.StatusTooManyRequests)
		return
	case cutBefore:
		reset(w)
		return
	case slow:
		timer := time.NewTimer(slowness)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
			return
		case <-timer.C:
		}
	}
	a := s.feed.Next(call)
	body := s.feed.world.Body(a)
	send := len(body)
	switch luck {
	case cutWithin:
		send /= 2
	case cutAfter:
		send--
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := w.Write(body[:send]); err != nil {
		return
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return
	}
	if send < len(body) {
		reset(w)
		return
	}
	s.feed.Sent(call, a.Number)
}

// reset cuts the connection so that the other side sees an error.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
