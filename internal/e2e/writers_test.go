package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// writers are two producers of prices, of an old version and of a new one.
type writers struct {
	t       *testing.T
	codec   *avro.Codec[schemas.Price]
	kafka   *kgo.Client
	id      uint32 // of the new schema; 0: nobody writes it
	made    int64  // prices
	widened int64  // of them with the new schema
	from    int64  // the first that may have it
	before  int64  // the first after the upgrade; 0: before it
}

func newWriters(t *testing.T, u *up) *writers {
	w := &writers{t: t}
	client, err := avro.NewClient(u.Ready.Registry)
	if err != nil {
		t.Fatal(err)
	}
	if w.codec, err = avro.NewCodec[schemas.Price](schemas.TopicPrices, client); err == nil {
		err = w.codec.Prepare(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	w.begin(u)
	return w
}

// begin connects to the broker.
func (w *writers) begin(u *up) {
	w.t.Helper()
	if w.kafka != nil {
		w.kafka.Close()
	}
	var err error
	w.kafka, err = kgo.NewClient(kgo.SeedBrokers(u.Ready.Kafka), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.kafka.Close)
}

// register makes the new producer's schema a version of the subject.
func (w *writers) register(u *up) {
	w.t.Helper()
	client, err := avro.NewClient(u.Ready.Registry)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range avro.Schemas() {
		if s.Topic == schemas.TopicPrices {
			end := strings.LastIndex(s.Schema, "]")
			id, err := client.Register(w.t.Context(), s.Name, s.Schema[:end]+","+volumeField+s.Schema[end:])
			if err != nil {
				w.t.Fatal(err)
			}
			w.id, w.from = uint32(id), w.made
		}
	}
}

// evolvePartitions is how many the topic has.
const evolvePartitions = 3

// price makes the i-th price. Each has values of its own; those of one batch lie
// in all partitions and in two months.
func (w *writers) price(i int64) (r *kgo.Record) {
	p := schemas.Price{EventID: schemas.DeriveID("evolve", strconv.FormatInt(i, 10)), Provider: "test", CallID: "test", Instrument: fmt.Sprintf("I%d-USD", i%50),
		Base: "I", Quote: "USD", Kind: schemas.KindTrade, RateType: schemas.RateLast, Price: unscaled(i*7 + 1), Bid: unscaled(-i), Size: unscaled(i * i),
		EventTime: time.Date(2026, time.January+time.Month(i/7%2), 3, 4, 5, 6, int(i)*1000, time.UTC), EventTimeKind: schemas.TimeSource,
		RequestedAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), FetchedAt: time.Date(2026, 1, 2, 0, 0, 1, 0, time.UTC), TradeID: strconv.FormatInt(i, 10)}
	value, err := w.codec.Append(nil, &p)
	if err != nil {
		w.t.Error(err)
	}
	if w.id != 0 && i%2 == 1 {
		binary.BigEndian.PutUint32(value[1:], w.id)
		if volume := volumeOf(i); volume.Valid {
			bytes := volume.Decimal.Bytes()
			value = append(append(value, 2), bytes[:]...)
		} else {
			value = append(value, 0)
		}
		w.widened++
	}
	return &kgo.Record{Topic: schemas.TopicPrices, Partition: int32(i % evolvePartitions), Key: []byte(p.Instrument), Value: value}
}

// volumeOf is what the new producer says; of some prices it knows none.
func volumeOf(i int64) schemas.NullDecimal {
	if i%5 == 0 {
		return schemas.NullDecimal{}
	}
	return unscaled(i*1_000_003 + 17)
}

func unscaled(n int64) schemas.NullDecimal {
	d, _, _ := schemas.ParseDecimal(fmt.Sprintf("%de-9", n)) // always one
	return schemas.NullDecimal{Decimal: d, Valid: true}
}

// write writes batches, one every evolveEvery. Both producers take turns price by
// price once there are two.
func (w *writers) write(batches int) {
	w.t.Helper()
	tick := time.NewTicker(evolveEvery)
	defer tick.Stop()
	for range batches {
		<-tick.C
		var records []*kgo.Record
		for range evolveBatch {
			records = append(records, w.price(w.made))
			w.made++
		}
		if err := w.kafka.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
			w.t.Errorf("writing prices: %v", err)
			return
		}
	}
}

// keepWriting goes on until stop is called, at a tenth of the rate: what it ends
// may take a minute on a slow machine, and every row is compared in the end.
func (w *writers) keepWriting() (stop func()) {
	quit := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		for {
			select {
			case <-quit:
				return
			case <-time.After(9 * evolveEvery):
				w.write(1)
			}
		}
	})
	return func() { close(quit); done.Wait() }
}

// forget takes the records of one partition out of the log whose rows the old
// version has loaded, but for the newest: the volumes in them are lost.
func (w *writers) forget(u *up) (first map[int32]int64) {
	w.t.Helper()
	const partition = 2
	at := u.number(fmt.Sprintf("SELECT max(_offset) AS n FROM prices WHERE _partition = %d AND toInt64(trade_id) < %d", partition, w.before-w.before/10))
	client, err := kgo.NewClient(kgo.SeedBrokers(u.Ready.Kafka))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	var offsets kadm.Offsets
	offsets.AddOffset(schemas.TopicPrices, partition, at, -1)
	deleted, err := kadm.NewClient(client).DeleteRecords(w.t.Context(), offsets)
	if err == nil {
		err = deleted.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return map[int32]int64{partition: at}
}

// digests is what the rows of before the upgrade say, by partition, without some
// columns and without when and under which epoch they were written.
func (w *writers) digests(u *up, without string) []string {
	w.t.Helper()
	if w.before == 0 {
		w.before = w.made
	}
	var all []string
	for _, row := range u.mustQuery(fmt.Sprintf(`SELECT _partition AS p, count() AS n, sum(cityHash64(toString(tuple(* EXCEPT (%sinserted_at, _lake_epoch))))) AS digest
		FROM prices WHERE toInt64(trade_id) < %d GROUP BY p ORDER BY p`, without, w.before)) {
		all = append(all, fmt.Sprint(row["p"], " ", row["n"], " ", row["digest"]))
	}
	return all
}

// compare compares every row with the price that was written. With first, the
// offsets from which on the log had the records when the table was rebuilt, there
// are volumes.
func (w *writers) compare(u *up, first map[int32]int64) {
	w.t.Helper()
	volume := ""
	if first != nil {
		volume = ", ifNull(toString(volume), '-') AS volume"
	}
	var rows []map[string]any
	const page = 20_000 // an answer must come in the time of a question
	for from := int64(0); from < w.made; from += page {
		rows = append(rows, u.mustQuery(fmt.Sprintf("SELECT trade_id AS i, _partition AS p, _offset AS o, toString(price) AS price, toString(bid) AS bid, toString(size) AS size"+volume+
			" FROM prices WHERE toInt64(trade_id) >= %d AND toInt64(trade_id) < %d ORDER BY toInt64(trade_id)", from, from+page))...)
	}
	if extra := u.number(fmt.Sprintf("SELECT count() FROM prices WHERE toInt64(trade_id) < 0 OR toInt64(trade_id) >= %d", w.made)); extra != 0 {
		w.t.Errorf("%d rows of prices that nobody wrote", extra)
	}
	if int64(len(rows)) != w.made {
		w.t.Errorf("%d rows of %d prices", len(rows), w.made)
	}
	wrong, volumes := 0, 0
	for n, row := range rows {
		c, i := cells(row), int64(n)
		want := []string{strconv.FormatInt(i, 10), unscaled(i*7 + 1).Decimal.String(), unscaled(-i).Decimal.String(), unscaled(i * i).Decimal.String()}
		got := []string{c.text("i"), c.text("price"), c.text("bid"), c.text("size")}
		if first != nil {
			v := "-"
			lost := i < w.before && int64(c.number("o")) < first[int32(c.number("p"))]
			if d := volumeOf(i); i >= w.from && i%2 == 1 && d.Valid && !lost {
				v = d.Decimal.String()
				volumes++
			}
			want, got = append(want, v), append(got, c.text("volume"))
		}
		if !slices.Equal(want, got) {
			if wrong++; wrong <= 5 {
				w.t.Errorf("row %v[%v]@%v says %q, want %q", n, c.number("p"), c.number("o"), got, want)
			}
		}
	}
	w.t.Logf("%d rows, %d wrong, %d volumes", len(rows), wrong, volumes)
	if first != nil && volumes == 0 {
		w.t.Error("no row has a volume")
	}
}
