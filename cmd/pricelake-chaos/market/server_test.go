package market

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// serve runs a server for the length of the test.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}

func get(t *testing.T, url string) (status int, body []byte, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func TestServerSaysWhatTheLedgerSays(t *testing.T) {
	f := NewFeed(small(), 400, time.Now)
	f.Release(1)
	base := serve(t, NewServer(f, time.Now))
	for range 4 {
		status, body, err := get(t, base+"/v1/trades/1")
		if err != nil || status != http.StatusOK {
			t.Fatal(status, err)
		}
		call, number, ok := Identify(body)
		a, known := f.Ledger().Answer(call, number)
		if !ok || !known || string(f.world.Body(a)) != string(body) {
			t.Fatalf("the ledger does not have the answer %.80s", body)
		}
	}
	for path, want := range map[string]int{"/v1/trades/2": 404, "/v1/trades/x": 404, "/v1/broken": 500} {
		if status, _, err := get(t, base+path); status != want || err != nil {
			t.Errorf("%s: status %d, %v", path, status, err)
		}
	}
}

// TestTroubleIsInTheLedger: what was cut off is not noted as sent.
func TestTroubleIsInTheLedger(t *testing.T) {
	f := NewFeed(small(), 40_000, time.Now)
	f.Release(1)
	s := NewServer(f, time.Now)
	s.Disturb(Trouble{Share: 1, Until: time.Now().Add(time.Hour)})
	base := serve(t, s)
	got := map[string]int{}
	whole := map[int]bool{}
	for range 40 {
		status, body, err := get(t, base+"/v1/trades/0")
		switch {
		case err != nil:
			got["cut"]++
		case status != http.StatusOK:
			got[http.StatusText(status)]++
		default:
			got["whole"]++
			_, number, _ := Identify(body)
			whole[number] = true
		}
		if got["cut"] > 3 && len(got) == 4 {
			break
		}
	}
	if len(got) != 4 {
		t.Fatalf("not every trouble came: %v", got)
	}
	for _, a := range f.Ledger().Calls[0] {
		if a.Sent != whole[a.Number] {
			t.Errorf("answer %d: sent %t, arrived %t", a.Number, a.Sent, whole[a.Number])
		}
	}
}
