package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/schemas"
)

// TestLostDisk takes the deduplicator's disk away and lets prices.v1 forget what
// it held. The simulator's fixings are polled again and again: what the lake gives
// back must keep every one of them from passing a second time.
func TestLostDisk(t *testing.T) {
	t.Parallel()
	s := embeddedSite(t, t.TempDir())
	u := s.start("--demo")
	const fixings = "SELECT count() AS n FROM prices WHERE kind = 'fixing'"
	eventually(t, 60*time.Second, "hundreds of prices, fixings among them", func() error {
		if err := rowsAtLeast(u, "prices", 300); err != nil {
			return err
		}
		return atLeast(u, 300)
	})
	if u.number(fixings) == 0 {
		t.Fatal("there are no fixings: nothing comes again")
	}
	// The lake has all that is to be forgotten once no more than this is there.
	forget(t, u)
	if _, err := u.Stop(); err != nil {
		t.Fatalf("stopping: %v\n%s", err, u.Stderr())
	}
	state := filepath.Join(s.dir, "deduplicator")
	if entries, err := os.ReadDir(state); err != nil || len(entries) == 0 {
		t.Fatalf("the state is not in %s: %v", state, err)
	}
	if err := os.RemoveAll(state); err != nil {
		t.Fatal(err)
	}

	u = s.start("--demo")
	pollingGoesOn(u)
	if n := u.number("SELECT count() - uniqExact(event_id) AS n FROM prices WHERE revision = 0"); n != 0 {
		t.Errorf("%d events were published a second time", n)
	}
	u.exactlyOnce()
}

// forget deletes from prices.v1 what the lake has loaded of it.
func forget(t *testing.T, u *up) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(u.Ready.Kafka))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	var offsets kadm.Offsets
	eventually(t, 60*time.Second, "the lake to settle hundreds of records", func() error {
		committed, err := admin.FetchOffsetsForTopics(t.Context(), "pricelake.lake", schemas.TopicPrices)
		if err != nil {
			return err
		}
		settled := int64(0)
		offsets = committed.Offsets()
		offsets.Each(func(o kadm.Offset) { settled += max(0, o.At) })
		if settled < 300 {
			return fmt.Errorf("it has settled %d", settled)
		}
		return nil
	})
	if _, err := admin.DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	starts, err := admin.ListStartOffsets(t.Context(), schemas.TopicPrices)
	if err != nil {
		t.Fatal(err)
	}
	offsets.Each(func(o kadm.Offset) {
		if at, _ := starts.Lookup(o.Topic, o.Partition); at.Offset != o.At {
			t.Errorf("partition %d begins at %d after deleting up to %d", o.Partition, at.Offset, o.At)
		}
	})
}
