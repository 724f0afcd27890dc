package app

import (
	"errors"
	"testing"
	"time"

	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks/lake"
)

// A record that the lake gave up is in its topic once more after any number of
// replays, also of one that ended between sending it and noting that: nobody
// behind the topic would drop a second one.
func TestLettersOfTheLakeAreReplayedOnce(t *testing.T) {
	t.Parallel()
	a := newLetterRig(t)
	ctx := t.Context()
	topicID := a.topicID(schemas.TopicPrices)
	var ids []schemas.ID
	for offset := range int64(3) {
		bad := stream.Record{Topic: schemas.TopicPrices, Key: []byte("BTC-USD"), Value: []byte{0, byte(offset)}}
		d := schemas.DeadLetter{
			DeadLetterID: schemas.DeadLetterID(schemas.TopicPrices, topicID, 0, offset), OriginTopic: schemas.TopicPrices, OriginTopicID: topicID,
			OriginOffset: offset, OriginTimestamp: time.UnixMilli(1), Role: lake.Role, Reason: schemas.DeadDecode, FailedAt: time.UnixMilli(2), Key: bad.Key, Value: bad.Value,
		}
		a.publish(bad, a.letter(d))
		ids = append(ids, d.DeadLetterID)
	}
	// sent counts the records behind the originals, by value.
	sent := func() map[string]int {
		counts := map[string]int{}
		_, err := a.log.ReadCommitted(ctx, stream.TopicPartition{Topic: schemas.TopicPrices}, 3, func(r stream.Record) error {
			counts[string(r.Value)]++
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return counts
	}
	killed := a.app("")
	var err error
	if killed.settings.Failpoints, err = failpoint.Parse(string(failpoint.ReplayProduced) + "=error"); err != nil {
		t.Fatal(err)
	}
	if _, err := killed.ReplayDeadLetters(ctx, ids[:2], nil, false); !errors.Is(err, failpoint.ErrInjected) {
		t.Fatalf("a replay that ends before its commit: %v", err)
	}
	if n := len(sent()); n != 0 {
		t.Errorf("%d records of a replay that ended before its commit can be read", n)
	}
	if replayed, err := a.ReplayDeadLetters(ctx, ids[:1], nil, true); err != nil || len(replayed) != 1 || replayed[0].Already || len(sent()) != 0 {
		t.Errorf("a dry run: %+v, %v", replayed, err)
	}
	for try := range 3 {
		replayed, err := a.ReplayDeadLetters(ctx, ids[:2], nil, false)
		if err != nil || len(replayed) != 2 || replayed[0].Already != (try > 0) || replayed[1].Already != (try > 0) {
			t.Fatalf("replay %d: %+v, %v", try, replayed, err)
		}
	}
	if _, err := a.ReplayDeadLetters(ctx, ids[2:], []byte("mended"), false); err != nil {
		t.Fatal(err)
	}
	got := sent()
	if len(got) != 3 || got["\x00\x00"] != 1 || got["\x00\x01"] != 1 || got["mended"] != 1 {
		t.Errorf("after every replay the topic holds %v, want each once, the third as it was mended", got)
	}
}

// A letter that is stored twice under one id is listed once, and its record goes
// through its topic once, also when it is named twice. What is no letter hides none.
func TestLettersStoredTwiceAreOne(t *testing.T) {
	t.Parallel()
	a := newLetterRig(t)
	ctx := t.Context()
	origins := map[string]string{"poller": schemas.TopicRequests, "normalizer": schemas.TopicResponses, "deduplicator": schemas.TopicObserved, lake.Role: schemas.TopicPrices}
	letters := []stream.Record{{Topic: schemas.TopicDeadLetters, Key: []byte("no letter"), Value: []byte("garbage")}}
	var ids []schemas.ID
	for role, topic := range origins {
		id := a.topicID(topic)
		d := schemas.DeadLetter{
			DeadLetterID: schemas.DeadLetterID(topic, id, 0, 0), OriginTopic: topic, OriginTopicID: id,
			OriginTimestamp: time.UnixMilli(1), Role: role, Reason: schemas.DeadInvalid, FailedAt: time.UnixMilli(2), Key: []byte("key"), Value: []byte("of the " + role),
		}
		letter := a.letter(d)
		letters = append(letters, letter, letter)
		ids = append(ids, d.DeadLetterID)
	}
	a.publish(letters...)
	listed, err := a.DeadLetters(ctx, DeadLetterFilter{})
	if err != nil || len(listed) != len(origins) {
		t.Errorf("%d letters are listed (%v), want %d", len(listed), err, len(origins))
	}
	replayed, err := a.ReplayDeadLetters(ctx, append(ids, ids...), nil, false)
	if err != nil || len(replayed) != len(origins) {
		t.Errorf("%d letters were replayed (%v), want %d", len(replayed), err, len(origins))
	}
	for role, topic := range origins {
		var values []string
		_, err := a.log.ReadCommitted(ctx, stream.TopicPartition{Topic: topic}, 0, func(r stream.Record) error {
			values = append(values, string(r.Value))
			return nil
		})
		if err != nil || len(values) != 1 || values[0] != "of the "+role {
			t.Errorf("%s holds %q after the replay (%v), want the record of the %s once", topic, values, err, role)
		}
	}
}
