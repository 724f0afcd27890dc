package poller

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
)

func TestOutcomes(t *testing.T) {
	f := func(name string, handler http.HandlerFunc, want string) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, handler)
			if strings.Contains(want, "timeout") { // else a busy machine would have some too
				r.def.Request.TimeoutMicros = 1_000_000
			}
			r.def.Request.MaxBodyBytes = 1000
			out := r.poll()
			if got := out.outcome(); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if n := len(out.polls[0].Attempts); r.hits != n {
				t.Errorf("the server saw %d requests, the poll has %d attempts", r.hits, n)
			}
		})
	}
	f("valued", status(200, "BTC ETH"), "valued 2/2/0/0: ok")
	f("partial", status(200, "BTC"), "partial 2/1/1/0: ok")
	f("html", status(200, "<html>"), "unparsable 2/0/0/2: ok")
	f("error answer", status(200, "error: no"), "error_answer 2/0/0/2: ok")
	f("rate limited", status(429, "slow down"), "failed 2/0/0/2: rate_limited rate_limited rate_limited rate_limited rate_limited dead:attempts")
	f("server error", status(500, "oops"), "failed 2/0/0/2: status status status status status dead:attempts")
	f("unavailable", status(503, ""), "failed 2/0/0/2: status status status status status dead:attempts")
	f("too early, then fine", inTurn(status(425, ""), status(408, ""), status(200, "BTC ETH")), "valued 2/2/0/0: status status ok")
	f("not found", status(404, "no"), "failed 2/0/0/2: status dead:attempts")
	f("forbidden", status(403, "no"), "failed 2/0/0/2: status dead:attempts")
	f("unauthorised", status(401, "no"), "failed 2/0/0/2: status dead:attempts")
	f("unchanged", status(304, ""), "failed 2/0/0/2: status dead:attempts")
	f("hang-up", hangUp, "failed 2/0/0/2: network network network network network dead:attempts")
	f("hang-up, then fine", inTurn(hangUp, status(200, "ETH BTC")), "valued 2/2/0/0: network ok")
	f("too large", status(200, strings.Repeat("x", 1001)), "too_large 2/0/0/2: too_large dead:too_large")
	f("as large as allowed", status(200, "BTC ETH"+strings.Repeat(" ", 993)), "valued 2/2/0/0: ok")
	f("too large, of unknown length", func(w http.ResponseWriter, _ *http.Request) {
		for range 11 {
			_, _ = w.Write(bytes.Repeat([]byte("x"), 100))
			w.(http.Flusher).Flush()
		}
	}, "too_large 2/0/0/2: too_large dead:too_large")
	f("large failure", status(500, strings.Repeat("x", 1001)), "failed 2/0/0/2: status status status status status dead:attempts")
	f("shorter than announced", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("BTC ETH"))
	}, "failed 2/0/0/2: network network network network network dead:attempts")
	f("slow once", inTurn(func(w http.ResponseWriter, req *http.Request) { <-req.Context().Done() },
		status(200, "BTC ETH")), "valued 2/2/0/0: timeout ok")
	f("a byte at a time once", inTurn(func(w http.ResponseWriter, req *http.Request) {
		for req.Context().Err() == nil {
			_, _ = w.Write([]byte("x"))
			w.(http.Flusher).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	}, status(200, "BTC ETH")), "valued 2/2/0/0: timeout ok")
	f("refused redirect", func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "/elsewhere", http.StatusFound)
	}, "failed 2/0/0/2: status dead:attempts")
}

func TestFiveAttemptsOneDeadLetter(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Simulator-Id", "17")
		w.Header().Set("Set-Cookie", "session=1")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("bad gateway"))
	})
	out := r.poll()
	if got := out.outcome(); got != "failed 2/0/0/2: status status status status status dead:attempts" {
		t.Fatal(got)
	}
	topics := ""
	for _, rec := range out.records {
		topics += fmt.Sprintf("%s[%s] ", rec.Topic, rec.Key)
		if rec.Partition != stream.AnyPartition || rec.Header("ce_id") == nil || rec.Header(stream.HeaderTraceparent) == nil {
			t.Errorf("record of %s: partition %d, headers %v", rec.Topic, rec.Partition, rec.Headers)
		}
	}
	want := strings.Repeat("responses.v1[acme-prices] ", 5) + "polls.finished.v1[acme-prices] deadletters.v1[polls.requested.v1/7/42] "
	if topics != want {
		t.Errorf("records = %s\nwant %s", topics, want)
	}
	f := out.polls[0]
	for i, a := range out.responses {
		if a.Attempt != int32(i+1) || a.ResponseID != schemas.ResponseID(f.PollID, a.Attempt) || *f.Attempts[i].ResponseID != a.ResponseID ||
			f.Attempts[i].Number != a.Attempt || a.Status != 502 || string(a.Body) != "bad gateway" || a.URL != r.server.URL+"/prices" {
			t.Errorf("answer %d = %+v\nattempt %+v", i, a, f.Attempts[i])
		}
		if a.Headers["x-simulator-id"] != "17" || a.Headers["date"] == "" || a.Headers["set-cookie"] != "" {
			t.Errorf("kept headers = %v", a.Headers)
		}
		if a.FetchedAt.Before(a.RequestedAt) || a.CorrelationID != f.CorrelationID {
			t.Errorf("answer %d = %+v", i, a)
		}
	}
	d := out.dead[0]
	if d.DeadLetterID != schemas.DeadLetterID(r.record.Topic, schemas.ID(r.record.TopicID), 7, 42) || d.OriginTopicID != schemas.ID(r.record.TopicID) ||
		!bytes.Equal(d.Value, r.record.Value) || string(d.Key) != "acme-key" || string(d.Headers["ce_id"]) != f.PollID.String() ||
		*d.CorrelationID != f.CorrelationID || d.Attempts != 5 || d.Role != "poller" || d.CallID != "acme-prices" || d.Error != "status 502 Bad Gateway" {
		t.Errorf("dead letter = %+v", d)
	}
	for _, s := range f.Symbols {
		if s.Outcome != schemas.ValueFailed || s.Reason != reasonWhole {
			t.Errorf("symbol %+v", s)
		}
	}
	for name, want := range map[string]float64{
		"pricelake_poll_attempts_total": 5, "pricelake_polls_total": 1,
		"pricelake_poll_duration_seconds": 1, "pricelake_polls_in_flight": 0,
	} {
		if got := r.counter(name); got != want {
			t.Errorf("%s = %v, want %v", name, got, want)
		}
	}
	if line := r.log.String(); !strings.Contains(line, f.CorrelationID.String()) || !strings.Contains(line, "call_id=acme-prices") || strings.Count(line, "\n") != 1 {
		t.Errorf("log = %s", line)
	}
}

func TestPausesAreBoundedAndRecorded(t *testing.T) {
	r := newRig(t, status(500, ""))
	r.def.Request.BackoffMicros, r.def.Request.MaxBackoffMicros = 1_000_000, 5_000_000
	r.cfg.Jitter = func(n int64) int64 { return n - 1 } // the longest
	f := r.poll().polls[0]
	want := []time.Duration{2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}
	if fmt.Sprint(r.sleeps) != fmt.Sprint(want) {
		t.Errorf("pauses = %v, want %v", r.sleeps, want)
	}
	if f.Attempts[0].WaitedMicros > 100_000 {
		t.Errorf("the first attempt waited %d µs", f.Attempts[0].WaitedMicros)
	}
	for i, d := range want {
		if got := time.Duration(f.Attempts[i+1].WaitedMicros) * time.Microsecond; got < d || got > d+time.Second {
			t.Errorf("attempt %d waited %v, want %v", i+2, got, d)
		}
	}
}

func TestBackoffIsFullJitter(t *testing.T) {
	var tops []int64
	spy := func(n int64) int64 { tops = append(tops, n-1); return 0 }
	for next := int32(2); next <= 6; next++ {
		if d := backoff(next, time.Second, 10*time.Second, spy); d != 0 {
			t.Errorf("the shortest pause is %v", d)
		}
	}
	if fmt.Sprint(tops) != "[2000000000 4000000000 8000000000 10000000000 10000000000]" {
		t.Errorf("longest pauses = %v", tops)
	}
	if d := backoff(1000, time.Second, time.Hour, func(n int64) int64 { return n - 1 }); d != time.Hour {
		t.Errorf("attempt 1000 pauses %v", d)
	}
	if d := backoff(2, -time.Second, -time.Second, spy); d != 0 {
		t.Errorf("a negative configuration pauses %v", d)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	limited := func(value string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", value)
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}
	f := func(value, wantPause string) {
		t.Helper()
		r := newRig(t, inTurn(limited(value), status(200, "BTC ETH")))
		r.cfg.Budget = time.Hour
		r.cfg.Jitter = func(int64) int64 { return 0 }
		got := r.poll().polls[0]
		pause := r.sleeps[0].Round(10 * time.Second)
		if r.sleeps[0] < 10*time.Second {
			pause = r.sleeps[0]
		}
		if pause.String() != wantPause || got.Outcome != schemas.PollValued {
			t.Errorf("Retry-After %q: paused %v, outcome %s", value, r.sleeps[0], got.Outcome)
		}
		if waited := got.Attempts[1].WaitedMicros; waited < r.sleeps[0].Microseconds() {
			t.Errorf("Retry-After %q: waited %d µs", value, waited)
		}
	}
	f("7", "7s")
	f("99999999999999999999", "15m0s")
	f(time.Now().Add(2*time.Minute).UTC().Format(http.TimeFormat), "2m0s")
	f(time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), "0s")
	f("soon", "0s")
}

func TestBudgetEndsAPoll(t *testing.T) {
	r := newRig(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "50")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	r.cfg.Budget = 2 * time.Minute
	out := r.poll()
	if got := out.outcome(); got != "failed 2/0/0/2: status status status dead:attempts" {
		t.Error(got)
	}
	if text := out.polls[0].Error; !strings.Contains(text, "503") || !strings.Contains(text, "50s") {
		t.Errorf("error = %q", text)
	}
}

func TestSetupFailures(t *testing.T) {
	f := func(change func(*rig), want string) {
		t.Helper()
		r := newRig(t, status(200, "BTC ETH"))
		change(r)
		out := r.poll()
		if got := out.outcome(); got != "failed 2/0/0/2: setup dead:attempts" || !strings.Contains(out.polls[0].Error, want) || r.hits != 0 {
			t.Errorf("%s with %d requests, error %q, want one with %q", got, r.hits, out.polls[0].Error, want)
		}
	}
	f(func(r *rig) { r.def.Request.Headers = map[string]string{"X-Key": "env:NONE"} }, `header "X-Key": resolving secret "env:NONE"`)
	f(func(r *rig) { r.def.Request.URL = "ftp://example.com/" }, `scheme "ftp"`)
	f(func(r *rig) { r.def.Request.URL = "http://user:hunter2@example.com/" }, "secret reference")
	f(func(r *rig) { r.def.Request.URL = "http:///nothing" }, "names no host")
	f(func(r *rig) { r.def.Request.URL = "http://a b/" }, "cannot be read")
	f(func(r *rig) { r.def.Request.Method = "GET /" }, "making a")
	f(func(r *rig) { r.client.AllowPrivate = nil }, "may not go there")
}

func TestRequestsThatAreNoPolls(t *testing.T) {
	r := newRig(t, status(200, "BTC ETH"))
	r.ask("gone", "v1")
	out := r.poll()
	if got := out.outcome(); got != "unknown_call 0/0/0/0: dead:unknown_call" || len(out.records) != 2 {
		t.Errorf("unknown call: %s in %d records", got, len(out.records))
	}
	if out.polls[0].CallVersion != "v1" || out.polls[0].Account != "acme-key" {
		t.Errorf("outcome = %+v", out.polls[0])
	}
	r.record.Value = []byte("garbage")
	if out = r.poll(); len(out.records) != 1 || out.dead[0].Reason != schemas.DeadDecode || string(out.dead[0].Value) != "garbage" || out.dead[0].CorrelationID != nil {
		t.Errorf("undecodable: %+v", out)
	}
	correlation := schemas.DeriveID("test", "trace")
	r.record.Headers = stream.CloudEvent{ID: "x", Source: "/here", Type: "t", Correlation: correlation}.Headers()
	if out = r.poll(); out.dead[0].CorrelationID == nil || *out.dead[0].CorrelationID != correlation || !slices.ContainsFunc(out.records[0].Headers, func(h stream.Header) bool {
		return h.Key == stream.HeaderTraceparent && strings.Contains(string(h.Value), hex.EncodeToString(correlation[:]))
	}) {
		t.Errorf("undecodable, of a poll that can be traced: %+v", out)
	}
	r.ask("acme-prices", "v1")
	r.record.Headers = []stream.Header{{Key: HeaderReplayOf, Value: []byte("not a uuid")}}
	if out = r.poll(); len(out.records) != 1 || out.dead[0].Reason != schemas.DeadInvalid {
		t.Errorf("broken replay header: %+v", out)
	}
	if r.hits != 0 {
		t.Errorf("%d requests were made", r.hits)
	}
}

func TestTransientFailuresAreHandedBack(t *testing.T) {
	r := newRig(t, status(200, "BTC ETH"))
	r.cfg.Requests = failing{}
	if out, err := r.poller().Handle(t.Context(), r.record); !errors.Is(err, errAway) || out.Records != nil || out.Committed != nil {
		t.Errorf("Handle = %v, %v, want the decoder's error", out, err)
	}
	r.cfg.Requests = jsonCodec[schemas.PollRequested]{}
	r.cfg.Calls = failing{}
	if out, err := r.poller().Handle(t.Context(), r.record); !errors.Is(err, errAway) || out.Records != nil || out.Committed != nil {
		t.Errorf("Handle = %v, %v, want the catalog's error", out, err)
	}
}

// TestPollsCountOnceTheyAreCommitted: what is not committed is done again, by
// whoever has the partition then.
func TestPollsCountOnceTheyAreCommitted(t *testing.T) {
	r := newRig(t, status(404, ""))
	counted := func() string {
		return fmt.Sprint(r.counter("pricelake_polls_total"), r.counter("pricelake_poll_duration_seconds"), r.counter("pricelake_poll_dead_letters_total"))
	}
	handle := func(want string) {
		t.Helper()
		before := counted()
		result, err := r.poller().Handle(t.Context(), r.record)
		if err != nil {
			t.Fatal(err)
		}
		if got := counted(); got != before {
			t.Errorf("counted %s before the commit, want %s", got, before)
		}
		result.Committed()
		if got := counted(); got != want {
			t.Errorf("counted %s after the commit, want %s", got, want)
		}
	}
	handle("1 1 1")
	r.record.Value = []byte("garbage")
	handle("1 1 2")
}

func TestReplayIsAnotherPoll(t *testing.T) {
	r := newRig(t, status(200, "BTC ETH"))
	first := r.poll()
	deadLetter := schemas.DeriveID("test", "1")
	r.record.Headers = []stream.Header{{Key: HeaderReplayOf, Value: []byte(deadLetter.String())}}
	second, third := r.poll(), r.poll()
	if second.polls[0].PollID == first.polls[0].PollID || second.responses[0].ResponseID == first.responses[0].ResponseID {
		t.Errorf("the replay has the ids of the poll it replays")
	}
	if second.polls[0].PollID != third.polls[0].PollID {
		t.Errorf("the same replay has poll id %s, then %s", second.polls[0].PollID, third.polls[0].PollID)
	}
	if f := second.polls[0]; f.Origin != schemas.OriginReplay || f.CorrelationID != first.polls[0].CorrelationID {
		t.Errorf("replay = %+v", f)
	}
}

// TestRecordLimit: an answer whose body is small enough but whose record is not.
func TestRecordLimit(t *testing.T) {
	r := newRig(t, status(200, strings.Repeat("x", 7<<20)))
	r.cfg.Polls = jsonCodec[schemas.PollFinished]{}
	if got := r.poll().outcome(); got != "too_large 2/0/0/2: too_large dead:too_large" { // base64 makes it 9.3 MiB
		t.Error(got)
	}
}

// TestOnlyValidSymbolsAreRequested: tickers are used again, so a symbol may be
// listed for several periods.
func TestOnlyValidSymbolsAreRequested(t *testing.T) {
	past, future := schemas.DateOf(2000, 1, 1), schemas.DateOf(3000, 1, 1)
	r := newRig(t, status(404, ""))
	r.def.Symbols = []schemas.CallSymbol{
		{Symbol: "OLD", Instrument: "OLD-1", ValidTo: &past},
		{Symbol: "NEW", Instrument: "NEW-1", ValidTo: &past},
		{Symbol: "NEW", Instrument: "NEW-2", ValidFrom: &past, ValidTo: &future},
		{Symbol: "NEW", Instrument: "NEW-3", ValidFrom: &past},
		{Symbol: "LATER", Instrument: "LATER-1", ValidFrom: &future},
	}
	if s := r.poll().polls[0].Symbols; len(s) != 1 || s[0].Instrument != "NEW-2" {
		t.Errorf("symbols = %+v", s)
	}
}
