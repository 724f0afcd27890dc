package count

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Heads are the beginnings of partitions that are deleted in Kafka, as retention
// deletes them. The reader keeps the records, so that the whole topic can be
// counted all the same.
type Heads struct {
	Records []HeadRecord
}

// HeadRecord is a record of the beginning of a partition.
type HeadRecord struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Time      time.Time `json:"time"`
	Key       []byte    `json:"key"`
	Value     []byte    `json:"value"`
}

// CutPrices deletes what is below an offset of the partitions of prices.v1 that the
// lake has settled that far, and keeps it. It may be done again: a broker that is
// killed may have the records back.
func (k *Kafka) CutPrices(ctx context.Context, h *Heads, below int64) error {
	cl, err := k.client(kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	at, err := committed(ctx, adm)
	if err != nil {
		return err
	}
	all, err := spans(ctx, adm, topicPrices)
	if err != nil {
		return err
	}
	cut, heads, there := kadm.Offsets{}, map[int32]span{}, 0
	for p, s := range all {
		if s.first >= below {
			there++
		} else if at[Place{"pricelake.lake", topicPrices, p}] >= below && s.end > below {
			cut.Add(kadm.Offset{Topic: topicPrices, Partition: p, At: below, LeaderEpoch: -1})
			heads[p] = span{s.first, below}
		}
	}
	if len(cut) == 0 {
		if there == 0 {
			return errors.New("the lake has not loaded so much yet")
		}
		return nil
	}
	err = readSpans(ctx, cl, topicPrices, heads, func(r *kgo.Record) error {
		if !h.has(r) {
			h.Records = append(h.Records, HeadRecord{topicPrices, r.Partition, r.Offset, r.Timestamp, r.Key, r.Value})
		}
		return nil
	})
	if err != nil {
		return err
	}
	done, err := adm.DeleteRecords(ctx, cut)
	if err == nil {
		err = done.Error()
	}
	if err != nil {
		return fmt.Errorf("deleting the beginning of %s: %w", topicPrices, err)
	}
	return nil
}

func (h *Heads) has(r *kgo.Record) bool {
	return slices.ContainsFunc(h.Records, func(one HeadRecord) bool {
		return one.Topic == r.Topic && one.Partition == r.Partition && one.Offset == r.Offset
	})
}

// each calls do for the records of a topic that lie below what there is to read.
func (h *Heads) each(topic string, all map[int32]span, do func(*kgo.Record) error) error {
	if h == nil {
		return nil
	}
	for _, one := range h.Records {
		if one.Topic != topic || one.Offset >= all[one.Partition].first {
			continue
		}
		r := &kgo.Record{Topic: topic, Partition: one.Partition, Offset: one.Offset, Timestamp: one.Time, Key: one.Key, Value: one.Value}
		if err := do(r); err != nil {
			return fmt.Errorf("reading what was %s[%d] at %d: %w", topic, one.Partition, one.Offset, err)
		}
	}
	return nil
}

// WriteFile writes the records as JSON, one a line.
func (h *Heads) WriteFile(name string) (err error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keeping what is deleted: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	out := json.NewEncoder(w)
	for _, one := range h.Records {
		if err := out.Encode(one); err != nil {
			return fmt.Errorf("keeping what is deleted: %w", err)
		}
	}
	return w.Flush()
}

// ReadHeads reads what WriteFile wrote; no file is no records.
func ReadHeads(name string) (*Heads, error) {
	h := &Heads{}
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return h, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what was deleted: %w", err)
	}
	defer func() { _ = f.Close() }()
	in := json.NewDecoder(bufio.NewReader(f))
	for {
		var one HeadRecord
		err := in.Decode(&one)
		if errors.Is(err, io.EOF) {
			return h, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading what was deleted from %q: %w", name, err)
		}
		h.Records = append(h.Records, one)
	}
}

// Intents returns what the lake has committed beside the offsets of prices.v1, by
// partition, and the id of the cluster.
func (k *Kafka) Intents(ctx context.Context) (texts map[int32]string, cluster string, err error) {
	cl, err := k.client()
	if err != nil {
		return nil, "", err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	meta, err := adm.BrokerMetadata(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("asking for the cluster's id: %w", err)
	}
	offsets, err := adm.FetchOffsets(ctx, "pricelake.lake")
	if err == nil {
		err = offsets.Error()
	}
	if err != nil {
		return nil, "", fmt.Errorf("fetching the offsets of the lake: %w", err)
	}
	texts = map[int32]string{}
	offsets.Each(func(o kadm.OffsetResponse) {
		if o.Topic == topicPrices {
			texts[o.Partition] = o.Metadata
		}
	})
	return texts, meta.Cluster, nil
}
