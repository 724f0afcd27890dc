package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/schemas"
)

// Counting what a fleet has done, with clients of its own.

// exactly pauses the scheduler, lets everything flow to its end, compares the log
// with the lake, runs further checks, and resumes the scheduler.
func (f *fleet) exactly(checks func()) {
	f.t.Helper()
	f.tool("pause", "scheduler", "--reason", "counting")
	defer f.tool("resume", "scheduler")
	f.quiet()
	if out := f.tool("verify", "--wait", "--json"); !strings.Contains(out, `"ok":true`) {
		f.t.Errorf("verify: %s", out)
	}
	f.sameAsTheLog()
	checks()
}

// quiet waits until every group has read to the end of what it reads, twice in a
// row: what the first look misses may be in the hands of a role.
func (f *fleet) quiet() {
	f.t.Helper()
	calm := 0
	eventually(f.t, 90*time.Second, "everything is worked off", func() error {
		calm++
		for _, role := range path[1:] {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			commits, err := f.watch.admin.FetchOffsets(ctx, "pricelake."+role)
			if err != nil {
				calm = 0
				return err
			}
			for topic := range commits {
				ends, err := f.watch.admin.ListEndOffsets(ctx, topic)
				if err != nil {
					calm = 0
					return err
				}
				ends.Each(func(end kadm.ListedOffset) {
					at, _ := commits.Lookup(topic, end.Partition)
					if at.At < end.Offset {
						calm, err = 0, fmt.Errorf("%s is at %d of %d in %s/%d", role, at.At, end.Offset, topic, end.Partition)
					}
				})
				if err != nil {
					return err
				}
			}
		}
		if calm < 20 {
			return errors.New("a moment longer")
		}
		return nil
	})
}

// sameAsTheLog reads prices.v1 with a client of its own and compares it with the
// rows: each record is there exactly once, and nothing else is.
func (f *fleet) sameAsTheLog() {
	f.t.Helper()
	var inLog []string
	for _, r := range f.records(schemas.TopicPrices, kgo.ReadCommitted()) {
		inLog = append(inLog, fmt.Sprintf("%d/%d", r.Partition, r.Offset))
	}
	rows, err := queryHTTP(f.lake, "SELECT _partition AS p, _offset AS o, toString(event_id) AS id, revision AS r FROM prices")
	if err != nil {
		f.t.Fatal(err)
	}
	events := map[string]bool{}
	inLake := make([]string, 0, len(rows))
	for _, row := range rows {
		inLake = append(inLake, fmt.Sprintf("%v/%v", row["p"], row["o"]))
		events[fmt.Sprint(row["id"], row["r"])] = true
	}
	slices.SortFunc(inLog, cmp.Compare)
	slices.SortFunc(inLake, cmp.Compare)
	if !slices.Equal(inLog, inLake) || len(events) != len(rows) {
		f.t.Errorf("prices.v1 holds %d records, prices %d rows of %d different (event_id, revision)", len(inLog), len(inLake), len(events))
	}
	f.t.Logf("%d records in prices.v1, each in prices exactly once", len(inLog))
}

// aborted counts the records of a topic that belong to aborted transactions.
func (f *fleet) aborted(topic string) int {
	f.t.Helper()
	return len(f.records(topic, kgo.ReadUncommitted())) - len(f.records(topic, kgo.ReadCommitted()))
}

// records reads a topic from its start to its end as it is now. A client that does
// not come to it within half a minute is told on and replaced, twice.
func (f *fleet) records(topic string, level kgo.IsolationLevel) []*kgo.Record {
	f.t.Helper()
	for try := 1; ; try++ {
		records, err := f.read(topic, level)
		if err == nil {
			return records
		}
		err = fmt.Errorf("reading %s: %w; %s", topic, err, f.undecided(topic))
		if try == 3 {
			f.t.Fatal(err)
		}
		f.t.Log(err)
	}
}

func (f *fleet) read(topic string, level kgo.IsolationLevel) (records []*kgo.Record, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ends, err := f.watch.admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var said tailBuffer // by the client, which tries again without end and without a word
	client, err := kgo.NewClient(kgo.SeedBrokers(f.real.seeds...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(level), kgo.KeepControlRecords(), kgo.WithDecompressor(&lz4Frames{}),
		kgo.WithLogger(kgo.BasicLogger(&said, kgo.LogLevelDebug, func() string { return time.Now().Format("15:04:05.000 ") })))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	read := map[int32]int64{}
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("%w; to be read up to %v, read up to %v; the client said\n%s", err, left, read, said.String())
		}
		fetches.EachRecord(func(r *kgo.Record) {
			read[r.Partition] = r.Offset
			if !r.Attrs.IsControl() {
				records = append(records, r)
			}
			if end, ok := left[r.Partition]; ok && r.Offset >= end-1 {
				delete(left, r.Partition)
			}
		})
	}
	return records, nil
}

// tailBuffer keeps the last of what is written to it. It may be used in parallel.
type tailBuffer struct {
	mu sync.Mutex
	b  []byte
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	const most = 16 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	t.b = t.b[max(0, len(t.b)-most):]
	return len(p), nil
}

func (t *tailBuffer) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

// undecided says what readers of committed records stand in front of.
func (f *fleet) undecided(topic string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var said []string
	stable, err := f.watch.admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return fmt.Sprintf("asking for last stable offsets: %v", err)
	}
	stable.Each(func(o kadm.ListedOffset) {
		said = append(said, fmt.Sprintf("partition %d is stable up to %d (%v)", o.Partition, o.Offset, o.Err))
	})
	described, err := f.watch.admin.DescribeProducers(ctx, kadm.TopicsSet{topic: nil})
	if err != nil {
		return fmt.Sprintf("asking who has transactions open: %v", err)
	}
	described.EachProducer(func(p kadm.DescribedProducer) {
		if p.CurrentTxnStartOffset >= 0 {
			said = append(said, fmt.Sprintf("producer %d, epoch %d, has a transaction open in partition %d since offset %d", p.ProducerID, p.ProducerEpoch, p.Partition, p.CurrentTxnStartOffset))
		}
	})
	return strings.Join(said, "; ")
}

// number asks the lake for one number.
func (f *fleet) number(sql string) int64 {
	f.t.Helper()
	rows, err := queryHTTP(f.lake, sql)
	if err != nil || len(rows) != 1 {
		f.t.Fatalf("%s: %v %v", sql, rows, err)
	}
	for _, v := range rows[0] {
		n, err := v.(json.Number).Int64()
		if err != nil {
			f.t.Fatalf("%s: %v", sql, err)
		}
		return n
	}
	return 0
}
