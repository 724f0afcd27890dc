package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/simulator"
)

// timed asks with a timeout and reads the whole answer.
func (s *sim) timed(t *testing.T, path string, timeout time.Duration) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestSlowAnswerIsWholeForThePatient(t *testing.T) {
	s := serve(t, simulator.Config{SlowFor: 50 * time.Millisecond})
	for range 6 { // some wait before the first byte, some in the middle
		s.control(t, force(simulator.TroubleSlow, ""))
		a := s.get(t, coinbasePath)
		e := s.entry(t, a.id)
		if e.Aborted || e.Trouble != simulator.TroubleSlow || len(a.body) != e.BodyBytes || e.FinishedAt.Sub(e.StartedAt) < 50*time.Millisecond {
			t.Errorf("%d bytes of %d, aborted %t, %s, after %s", len(a.body), e.BodyBytes, e.Aborted, e.Trouble, e.FinishedAt.Sub(e.StartedAt))
		}
	}
}

func TestSlowAnswerIsAbortedByTheImpatient(t *testing.T) {
	s := serve(t, simulator.Config{SlowFor: time.Hour})
	for i := range 6 {
		s.control(t, force(simulator.TroubleSlow, ""))
		var err error
		for s.Summary().Entries == int64(i) { // a busy machine may need longer to ask at all
			_, err = s.timed(t, coinbasePath, 100*time.Millisecond)
		}
		for s.Summary().InFlight > 0 {
			time.Sleep(time.Millisecond)
		}
		e := s.entry(t, fmt.Sprintf("%s-%d", s.Summary().Run, i+1))
		if err == nil || !e.Aborted || e.FinishedAt != nil || e.Trouble != simulator.TroubleSlow {
			t.Errorf("answer %d: read %v; aborted %t, finished %v, %s", i, err, e.Aborted, e.FinishedAt, e.Trouble)
		}
	}
	if got := s.Summary(); got.Aborted != 6 || got.Troubles[simulator.TroubleSlow] != 6 {
		t.Errorf("%+v", got)
	}
}

// A simulator that ends does not leave its clients with half an answer that
// looks whole.
func TestEndOfTheServerAbortsSlowAnswers(t *testing.T) {
	for range 6 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := simulator.New(simulator.Config{SlowFor: time.Hour})
		if _, err := server.Control(force(simulator.TroubleSlow, "")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- server.Run(ctx, l) }()
		s := &sim{Server: server, url: "http://" + l.Addr().String(), client: &http.Client{Transport: &http.Transport{}}}
		asked := make(chan error, 1)
		go func() {
			_, err := s.timed(t, coinbasePath, time.Minute)
			asked <- err
		}()
		for server.Summary().InFlight == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := <-asked; err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the client got %v", err)
		}
		if got := server.Summary(); got.InFlight != 0 || got.Aborted != 1 {
			t.Errorf("%+v", got)
		}
		s.client.CloseIdleConnections()
	}
}

func TestRunReportsAListenerThatFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := simulator.New(simulator.Config{}).Run(t.Context(), l); err == nil {
		t.Error("no error")
	}
}
