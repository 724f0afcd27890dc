package app

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/sinks/lake"
)

// A letter that is dropped says who dropped it, when and why, is listed no more and
// not replayed with all others, and is where it was: nothing of it is deleted. The
// decision can be taken back.
func TestDroppedLetters(t *testing.T) {
	t.Parallel()
	a := newLetterRig(t)
	ctx := t.Context()
	var ids []schemas.ID
	for offset := range int64(4) {
		d := schemas.DeadLetter{
			DeadLetterID: schemas.DeadLetterID(schemas.TopicPrices, schemas.ID{1}, 0, offset), OriginTopic: schemas.TopicPrices, OriginOffset: offset,
			OriginTimestamp: time.UnixMilli(1), Role: lake.Role, Reason: schemas.DeadDecode, CallID: fmt.Sprint("call-", offset%2), FailedAt: time.UnixMilli(2 + offset), Value: []byte{byte(offset)},
		}
		letter := a.letter(d)
		a.publish(letter, letter) // a poller that is killed may publish a letter twice
		ids = append(ids, d.DeadLetterID)
	}
	listed := func(f DeadLetterFilter) (names string) {
		t.Helper()
		letters, err := a.DeadLetters(ctx, f)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range letters {
			names += fmt.Sprint(slices.Index(ids, l.DeadLetterID))
			if f.Dropped && (l.Mark.MarkedBy != "ann@desk" || l.Mark.Reason != "a test" || time.Since(l.Mark.MarkedAt) > time.Hour) {
				t.Errorf("the letter says of its mark %+v", l.Mark)
			}
		}
		return names
	}
	expect := func(open, dropped string) {
		t.Helper()
		if o, d := listed(DeadLetterFilter{}), listed(DeadLetterFilter{Dropped: true}); o != open || d != dropped {
			t.Errorf("listed are %s and dropped %s, want %s and %s", o, d, open, dropped)
		}
	}
	mark := func(dropped, dry bool, changes int, which ...schemas.ID) {
		t.Helper()
		marked, err := a.MarkDeadLetters(ctx, which, dropped, "ann@desk", "a test", dry)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, m := range marked {
			if m.Dropped != dropped {
				t.Errorf("%+v", m)
			}
			if m.Changed {
				n++
			}
		}
		if n != changes {
			t.Errorf("%d letters changed, want %d", n, changes)
		}
	}
	expect("3210", "")
	mark(true, true, 2, ids[0], ids[2])
	expect("3210", "")
	mark(true, false, 2, ids[0], ids[2], ids[0])
	expect("31", "20")
	mark(true, false, 1, ids[2], ids[1])
	expect("3", "210")
	if only := listed(DeadLetterFilter{Dropped: true, CallID: "call-0"}); only != "20" {
		t.Errorf("dropped letters of a call: %s", only)
	}
	mark(false, false, 1, ids[0], ids[3])
	expect("30", "21")
	if _, err := a.MarkDeadLetters(ctx, []schemas.ID{ids[0], {9}}, true, "ann@desk", "a test", false); err == nil || !strings.Contains(err.Error(), "dlq ls") {
		t.Errorf("a letter that nobody has: %v", err)
	}
	expect("30", "21")
	shown, err := a.DeadLetter(ctx, ids[1])
	if err != nil || shown.Mark == nil || !shown.Mark.Dropped || string(shown.Value) != "\x01" {
		t.Errorf("a dropped letter is shown as %+v, %v", shown, err)
	}
	n := 0
	if _, err := a.log.ReadCommitted(ctx, stream.TopicPartition{Topic: schemas.TopicDeadLetters}, 0, func(stream.Record) error { n++; return nil }); err != nil || n != 8 {
		t.Errorf("%d records are in the topic of dead letters, want the 8 that were: %v", n, err)
	}
	// A cluster of an earlier version has no marks, and its letters are listed.
	client, err := kgo.NewClient(kgo.SeedBrokers(a.settings.Config.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kadm.NewClient(client).DeleteTopic(ctx, schemas.TopicDeadLetterMarks); err != nil {
		t.Fatal(err)
	}
	expect("3210", "")
}
