package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/producers/poller"
	"github.com/pricelake/pricelake/schemas"
)

// memoryLog is a topic of two partitions in memory.
type memoryLog struct {
	mu      sync.Mutex
	id      stream.TopicID
	records [2][]stream.Record
	now     time.Time // of what is appended
	away    error
	// reading, if set, runs before each read.
	reading func()
}

// recreate deletes the topic and creates it again.
func (l *memoryLog) recreate() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.id[0]++
	l.records = [2][]stream.Record{}
}

func (l *memoryLog) append(p int32, key string, def *schemas.CallDefined) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := stream.Record{Topic: schemas.TopicCalls, TopicID: l.id, Timestamp: l.now, Partition: p, Offset: int64(len(l.records[p])), Key: []byte(key)}
	if def != nil {
		r.Value, _ = json.Marshal(def)
	}
	l.records[p] = append(l.records[p], r)
}

func (l *memoryLog) Describe(context.Context, string) (stream.TopicID, int32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id, 2, l.away
}

func (l *memoryLog) Bounds(_ context.Context, tp stream.TopicPartition) (int64, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 0, int64(len(l.records[tp.Partition])), l.away
}

func (l *memoryLog) ReadCommitted(_ context.Context, tp stream.TopicPartition, from int64, each func(stream.Record) error) (int64, error) {
	if l.reading != nil {
		l.reading()
	}
	l.mu.Lock()
	rs := l.records[tp.Partition]
	rs = rs[min(from, int64(len(rs))):]
	l.mu.Unlock()
	for _, r := range rs {
		if err := each(r); err != nil {
			return 0, err
		}
		from = r.Offset + 1
	}
	return from, nil
}

type jsonDecoder struct{}

func (jsonDecoder) Decode(_ context.Context, wire []byte, v *schemas.CallDefined) error {
	return json.Unmarshal(wire, v)
}

func callVersionOf(id, version string) *schemas.CallDefined {
	return &schemas.CallDefined{CallID: id, Version: version}
}

func TestCallViewKeepsVersions(t *testing.T) {
	ctx := context.Background()
	log := &memoryLog{}
	view := newCallView(log, jsonDecoder{}, slog.New(slog.DiscardHandler))
	log.append(0, "a", callVersionOf("a", "1"))
	log.append(1, "b", callVersionOf("b", "1"))
	if err := view.refresh(ctx); err != nil {
		t.Fatal(err)
	}
	_, changed := view.shard(0)

	// A request may name a version before the view has seen it.
	log.append(0, "a", callVersionOf("a", "2"))
	if def, err := view.Call(ctx, "a", "2"); err != nil || def.Version != "2" {
		t.Errorf("the new version: %v, %v", def, err)
	}
	select {
	case <-changed:
	default:
		t.Error("the change was not announced")
	}
	// An old answer names the old one.
	if def, err := view.Call(ctx, "a", "1"); err != nil || def.Version != "1" {
		t.Errorf("the old version: %v, %v", def, err)
	}
	if _, err := view.Call(ctx, "a", "3"); !errors.Is(err, errUnknownCall) {
		t.Errorf("a version that never was: %v", err)
	}

	calls, _ := view.shard(0)
	if len(calls) != 1 || calls[0].Version != "2" {
		t.Errorf("shard 0 has %v, want the current version of a", calls)
	}
	log.append(0, "a", nil)
	if err := view.refresh(ctx); err != nil {
		t.Fatal(err)
	}
	if calls, _ = view.shard(0); len(calls) != 0 {
		t.Errorf("shard 0 has %v after the removal", calls)
	}
	if _, err := view.Call(ctx, "a", "2"); err != nil {
		t.Errorf("answers of a removed call must stay readable: %v", err)
	}
	if calls, _ = view.shard(7); len(calls) != 0 {
		t.Errorf("a shard that is not there has %v", calls)
	}
}

// The catalog is not read again for each answer of before that names a version it
// does not have, and is for one of now: its version may be news.
func TestCallViewOfOldAnswers(t *testing.T) {
	ctx := context.Background()
	log := &memoryLog{}
	view := newCallView(log, jsonDecoder{}, slog.New(slog.DiscardHandler))
	log.append(0, "a", callVersionOf("a", "1"))
	if err := view.refresh(ctx); err != nil {
		t.Fatal(err)
	}
	log.away = errors.New("the catalog is read again")
	now := view.now()
	for _, asked := range []time.Time{now.Add(-time.Hour), now.Add(-2 * clocksApart)} {
		if _, err := view.CallAsOf(ctx, "a", "0", asked); !errors.Is(err, errUnknownCall) {
			t.Errorf("a version that never was: %v", err)
		}
		if def, err := view.CallAsOf(ctx, "a", "1", asked); err != nil || def.Version != "1" {
			t.Errorf("a version that is there: %v, %v", def, err)
		}
	}
	if _, err := view.CallAsOf(ctx, "a", "2", now.Add(-clocksApart/2)); !errors.Is(err, log.away) {
		t.Errorf("a version that may be news: %v", err)
	}
	log.away = nil
	log.append(0, "a", callVersionOf("a", "2"))
	if def, err := view.CallAsOf(ctx, "a", "2", now.Add(-clocksApart/2)); err != nil || def.Version != "2" {
		t.Errorf("a version that the view had not seen: %v, %v", def, err)
	}
}

// The offsets of a topic say nothing of the one that took its place.
func TestCallViewNoticesANewTopic(t *testing.T) {
	ctx := context.Background()
	log := &memoryLog{}
	view := newCallView(log, jsonDecoder{}, slog.New(slog.DiscardHandler))
	log.append(0, "a", callVersionOf("a", "1"))
	log.append(0, "b", callVersionOf("b", "1"))
	log.append(1, "c", callVersionOf("c", "1"))
	if err := view.refresh(ctx); err != nil {
		t.Fatal(err)
	}
	f := func(what string, shards ...string) {
		t.Helper()
		_, changed := view.shard(0)
		if err := view.refresh(ctx); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		select {
		case <-changed:
		default:
			t.Errorf("%s: not announced", what)
		}
		for p, want := range shards {
			calls, _ := view.shard(int32(p))
			got := ""
			for _, c := range calls {
				got += c.CallID + c.Version
			}
			if got != want {
				t.Errorf("%s: shard %d has %q, want %q", what, p, got, want)
			}
		}
	}
	log.recreate()
	log.append(0, "b", callVersionOf("b", "2")) // fewer records than before
	f("fewer records", "b2", "")
	log.recreate()
	for range 5 {
		log.append(0, "d", callVersionOf("d", "1")) // more than before
	}
	f("more records", "d1", "")
	log.recreate()
	f("no records", "", "")
	if _, err := view.Call(ctx, "b", "2"); err != nil {
		t.Errorf("answers of calls from before must stay readable: %v", err)
	}

	// One that is replaced between two questions is not taken for the one before.
	log.append(0, "e", callVersionOf("e", "1"))
	log.reading = func() {
		log.reading = nil
		log.recreate()
		log.append(0, "f", callVersionOf("f", "1"))
	}
	if err := view.refresh(ctx); !errors.Is(err, errRecreated) {
		t.Errorf("replaced while it is read: %v", err)
	}
	f("the next time", "f1", "")
}

// Versions that no retained answer can name are forgotten; the current one never.
func TestCallViewForgetsOldVersions(t *testing.T) {
	ctx := context.Background()
	log := &memoryLog{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	view := newCallView(log, jsonDecoder{}, slog.New(slog.DiscardHandler))
	view.now = func() time.Time { return log.now }
	const days = 200
	for day := range days {
		log.append(0, "a", callVersionOf("a", fmt.Sprint(day)))
		if day == 0 {
			log.append(1, "removed", callVersionOf("removed", "1"))
			log.append(1, "stays", callVersionOf("stays", "1"))
		}
		if day == 1 {
			log.append(1, "removed", nil)
		}
		if err := view.refresh(ctx); err != nil {
			t.Fatal(err)
		}
		log.now = log.now.Add(24 * time.Hour)
	}
	kept := int(kafka.CallVersionsKept / (24 * time.Hour))
	if got, want := len(view.versions), kept+3; got > want || got < kept {
		t.Errorf("%d versions are held after %d days, want about %d", got, days, want)
	}
	f := func(id, version string, want bool) {
		t.Helper()
		if _, err := view.Call(ctx, id, version); (err == nil) != want {
			t.Errorf("call %s version %s: %v, want it to be there: %t", id, version, err, want)
		}
	}
	f("a", fmt.Sprint(days-1), true)
	f("a", fmt.Sprint(days-kept), true)
	f("a", fmt.Sprint(days-kept-10), false)
	f("removed", "1", false)
	f("stays", "1", true)
}

func TestCallViewSurvivesABrokerThatIsAway(t *testing.T) {
	ctx := context.Background()
	away := errors.New("away")
	log := &memoryLog{}
	log.append(0, "a", callVersionOf("a", "1"))
	view := newCallView(log, jsonDecoder{}, slog.New(slog.DiscardHandler))
	if err := view.refresh(ctx); err != nil {
		t.Fatal(err)
	}
	log.away = away
	if _, err := view.Call(ctx, "a", "1"); err != nil {
		t.Errorf("a known version needs no broker: %v", err)
	}
	if _, err := view.Call(ctx, "a", "2"); !errors.Is(err, away) || errors.Is(err, errUnknownCall) {
		t.Errorf("an unknown version without broker: %v, want an error that means try again", err)
	}
}

func TestOriginalMarksTheReplay(t *testing.T) {
	d := schemas.DeadLetter{DeadLetterID: schemas.DeriveID("test", "1"), OriginTopic: schemas.TopicRequests, OriginPartition: 2,
		Key: []byte("k"), Value: []byte("v"), Headers: map[string][]byte{"b": []byte("2"), "a": []byte("1"), poller.HeaderReplayOf: []byte("older")}}
	r := original(&d)
	if r.Topic != schemas.TopicRequests || r.Partition != stream.AnyPartition || string(r.Key) != "k" || string(r.Value) != "v" {
		t.Errorf("the record is %+v", r)
	}
	var keys []string
	for _, h := range r.Headers {
		keys = append(keys, h.Key)
	}
	if len(keys) != 3 || keys[0] != "a" || keys[1] != "b" || string(r.Header(poller.HeaderReplayOf)) != d.DeadLetterID.String() {
		t.Errorf("headers %v, replay of %q", keys, r.Header(poller.HeaderReplayOf))
	}
}
