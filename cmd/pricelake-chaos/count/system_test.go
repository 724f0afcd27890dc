package count

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
)

// system is what the oracle sees of a system: topics and tables, all in memory,
// made as an honest system would make them. Tests then plant mistakes.
type system struct {
	ledger *market.Ledger
	topics map[string][]*kgo.Record
	next   map[string]int64 // offset by partition
	fields []Fields         // of the records; their value is the index
	rows   []lakeRow
	// others are the other tables: lineage of each row.
	others map[string][]string
}

type lakeRow struct {
	row
	event     string
	partition int32
	offset    int64
}

// add appends a record to a topic. Offsets have holes, as where transactions
// ended.
func (s *system) add(topic string, partition int32, f Fields) *kgo.Record {
	place := fmt.Sprint(topic, partition)
	offset := s.next[place]
	s.next[place] = offset + 1 + offset%3
	r := &kgo.Record{Topic: topic, Partition: partition, Offset: offset, Value: []byte(strconv.Itoa(len(s.fields)))}
	s.fields = append(s.fields, f)
	s.topics[topic] = append(s.topics[topic], r)
	return r
}

func (s *system) of(r *kgo.Record) Fields {
	n, _ := strconv.Atoi(string(r.Value))
	return s.fields[n]
}

// Read implements Topics.
func (s *system) Read(_ context.Context, topic string, each func(*kgo.Record) error) error {
	for _, r := range s.topics[topic] {
		if err := each(r); err != nil {
			return err
		}
	}
	return nil
}

// Decode implements Decoder.
func (s *system) Decode(_ context.Context, wire []byte) (Fields, error) {
	n, err := strconv.Atoi(string(wire))
	return s.fields[n], err
}

func id(parts ...any) []byte {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts...)))
	return sum[:16]
}

// newSystem is an honest system that recorded some answers of a market: the
// first one of each call was said twice, one never arrived and was said again.
func newSystem(t *testing.T) *system {
	t.Helper()
	return systemOf(market.World{Seed: 379, Calls: 2, Symbols: 3, Page: 100}, 0) // each call has one bad trade
}

// refusingSystem is one of pages with trades whose rows the lake refuses.
func refusingSystem(t *testing.T) *system {
	t.Helper()
	return systemOf(market.World{Seed: 379, Calls: 2, Symbols: 3, Page: 100, Refuse: 1}, 8)
}

func systemOf(w market.World, first int) *system {
	s := &system{ledger: &market.Ledger{World: w, Calls: make([][]market.Answer, 2)}, topics: map[string][]*kgo.Record{}, others: map[string][]string{}, next: map[string]int64{}}
	page := func(n int) market.Part { return market.Part{Page: first + n, Stride: 1} }
	for call := range 2 {
		for _, parts := range [][]market.Part{
			{page(0)},
			{page(1)}, // cut off: not sent, not recorded
			{page(1), {Why: market.Restate, Page: first, Version: 1, Stride: 10, Phase: 3}},
			{{Why: market.Repeat, Page: first + 1, Stride: 1}},
			{page(2)},
		} {
			n := len(s.ledger.Calls[call])
			s.ledger.Calls[call] = append(s.ledger.Calls[call], market.Answer{Call: call, Number: n, Parts: parts, Sent: n != 1})
		}
	}
	last := map[string]row{} // by trade
	for n := range 5 {
		for call := range 2 {
			s.poll(call, n)
			if n != 1 {
				s.respond(s.ledger.Calls[call][n], last)
			}
		}
	}
	s.load()
	return s
}

// poll makes the records of a poll; the second one of each call fails for good.
func (s *system) poll(call, n int) {
	f := Fields{"poll_id": id("poll", call, n), "correlation_id": id("correlation", call, n), "call_id": market.CallID(call), "outcome": int64(outcomeValued)}
	s.add(topicRequests, int32(call), f)
	if n == 1 {
		failed := Fields{"role": "poller", "correlation_id": f["correlation_id"]}
		s.add(topicDeadLetters, 0, failed)
		f = Fields{"poll_id": f["poll_id"], "call_id": f["call_id"], "outcome": int64(outcomeFailed)}
	}
	s.add(topicPolls, int32(call), f)
}

func (s *system) respond(a market.Answer, last map[string]row) {
	response := id("response", a.Call, a.Number)
	s.add(TopicResponses, int32(a.Call), Fields{"response_id": response, "poll_id": id("poll", a.Call, a.Number), "call_id": market.CallID(a.Call),
		"status": int64(200), "body": s.ledger.World.Body(a)})
	s.ledger.World.Items(a, func(it market.Item) {
		if it.Bad {
			s.add(topicRejected, int32(a.Call), Fields{"provider": market.Provider, "response_id": response})
			return
		}
		r := row{instrument: market.Instrument(a.Call, it.Symbol), trade: it.Trade.ID(), price: it.Price, size: it.Size, micros: it.Micros}
		s.add(topicObserved, int32(a.Call), priceFields(r))
		before, known := last[r.trade]
		r.revision = before.revision
		if known && before.price == r.price {
			return
		}
		if known {
			r.revision++
		}
		last[r.trade] = r
		rec := s.add(topicPrices, int32(a.Call), priceFields(r))
		if it.Refusal != market.Taken {
			s.add(topicDeadLetters, 0, Fields{"role": "lake", "origin_topic": topicPrices, "origin_partition": int64(rec.Partition), "origin_offset": rec.Offset,
				"dead_letter_id": id("letter", rec.Partition, rec.Offset), "value": rec.Value, "error": "refused"})
		}
	})
}

func priceFields(r row) Fields {
	return Fields{"event_id": id(r.trade), "instrument": r.instrument, "trade_id": r.trade, "revision": r.revision,
		"price": decimalBytes(r.price), "size": decimalBytes(r.size), "event_time": r.micros}
}

// load fills the tables from the topics.
func (s *system) load() {
	s.rows = nil
	for _, rec := range s.topics[topicPrices] {
		f := s.of(rec)
		if market.RefusedSize(f.Decimal("size")) {
			continue
		}
		s.rows = append(s.rows, lakeRow{row{f.Text("instrument"), f.Text("trade_id"), f.Int("revision"), f.Decimal("price"), f.Decimal("size"), f.Int("event_time")},
			uuidText(f.Bytes("event_id")), rec.Partition, rec.Offset})
	}
	for table, topic := range map[string]string{"polls": topicPolls, "responses": TopicResponses, "prices_rejected": topicRejected, "dead_letters": topicDeadLetters} {
		s.others[table] = nil
		for _, rec := range s.topics[topic] {
			s.others[table] = append(s.others[table], fmt.Sprint(rec.Partition, "/", rec.Offset))
		}
	}
}

// Query implements Lake for the statements of the oracle; that ClickHouse
// answers them likewise is what the test of a whole run shows.
func (s *system) Query(_ context.Context, statement string, each func([]string) error) error {
	switch {
	case strings.HasPrefix(statement, "SELECT instrument, count()"):
		return sums(s.rows, func(r lakeRow) string { return r.instrument }, func(r lakeRow) []byte { return r.appendText(nil) }, each)
	case strings.HasPrefix(statement, "SELECT count(), uniqExact(event_id, revision), "):
		return each([]string{fmt.Sprint(len(s.rows)),
			distinct(s.rows, func(r lakeRow) string { return fmt.Sprint(r.event, r.revision) }),
			distinct(s.rows, func(r lakeRow) string { return fmt.Sprint(r.instrument, r.trade, "/", r.revision) }),
			distinct(s.rows, func(r lakeRow) string { return r.event }),
			distinct(s.rows, func(r lakeRow) string { return r.instrument + r.trade })})
	case strings.HasPrefix(statement, "SELECT trade_id, revision, "):
		_, instrument, _ := strings.Cut(statement, "instrument = '")
		for _, r := range s.rows {
			if r.instrument+"'" != instrument {
				continue
			}
			if err := each([]string{r.trade, fmt.Sprint(r.revision), string(r.appendText(nil)), fmt.Sprint(r.partition), fmt.Sprint(r.offset)}); err != nil {
				return err
			}
		}
		return nil
	case strings.HasPrefix(statement, "SELECT _partition, count(), "):
		return sums(s.rows, func(r lakeRow) string { return fmt.Sprint(r.partition) }, func(r lakeRow) []byte {
			return fmt.Appendf(nil, "%d|%s|%s|%d", r.offset, r.event, r.trade, r.revision)
		}, func(col []string) error { return each([]string{col[0], col[1], "1", col[2]}) })
	}
	table := statement[strings.LastIndexByte(statement, ' ')+1:]
	return each([]string{fmt.Sprint(len(s.others[table])), distinct(s.others[table], func(v string) string { return v })})
}

func distinct[T any](list []T, key func(T) string) string {
	seen := map[string]bool{}
	for _, v := range list {
		seen[key(v)] = true
	}
	return strconv.Itoa(len(seen))
}

// sums answers with key, count and sum of hashes.
func sums(rows []lakeRow, key func(lakeRow) string, text func(lakeRow) []byte, each func([]string) error) error {
	n, sum := map[string]int{}, map[string]uint64{}
	for _, r := range rows {
		n[key(r)]++
		sum[key(r)] += xxhash.Sum64(text(r))
	}
	for k := range n {
		if err := each([]string{k, strconv.Itoa(n[k]), strconv.FormatUint(sum[k], 10)}); err != nil {
			return err
		}
	}
	return nil
}
