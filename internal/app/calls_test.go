package app

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/producers/poller"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks/lake"
)

// memoryLog is a topic of two partitions in memory.
type memoryLog struct {
	mu      sync.Mutex
	records [2][]stream.Record
	away    error
}

func (l *memoryLog) append(p int32, key string, def *schemas.CallDefined) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := stream.Record{Topic: schemas.TopicCalls, Partition: p, Offset: int64(len(l.records[p])), Key: []byte(key)}
	if def != nil {
		r.Value, _ = json.Marshal(def)
	}
	l.records[p] = append(l.records[p], r)
}

func (l *memoryLog) Describe(context.Context, string) (stream.TopicID, int32, error) {
	return stream.TopicID{1}, 2, l.away
}

func (l *memoryLog) Bounds(_ context.Context, tp stream.TopicPartition) (int64, int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return 0, int64(len(l.records[tp.Partition])), l.away
}

func (l *memoryLog) ReadCommitted(_ context.Context, tp stream.TopicPartition, from int64, each func(stream.Record) error) (int64, error) {
	l.mu.Lock()
	rs := l.records[tp.Partition][from:]
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

func TestLettersOfTheLakeAreNotReplayed(t *testing.T) {
	if err := replayable(&schemas.DeadLetter{Role: lake.Role, OriginTopic: schemas.TopicPrices}); err == nil {
		t.Error("a record would be in prices.v1 twice")
	}
	if err := replayable(&schemas.DeadLetter{Role: "poller", OriginTopic: schemas.TopicRequests}); err != nil {
		t.Error(err)
	}
}
