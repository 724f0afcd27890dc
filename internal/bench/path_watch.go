package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pricelake/pricelake/internal/embed"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas"
	"github.com/pricelake/pricelake/schemas/avro"
)

// pathWatch notes when each price reaches which moment of its way.
type pathWatch struct {
	PathOptions
	servers *Servers
	alive   func() error
	sql     *sqlClient

	// Of the onlooker at the table alone.
	looks  []time.Duration     // from the begin of a look to the end of the next
	rows   map[schemas.ID]bool // seen, by correlation id
	order  []pathRow           // without those of the warm-up
	count  int64               // of rows, when last looked
	newest int64               // recorded_at of the newest row, in microseconds
	moved  time.Time           // when the last row was seen

	mu   sync.Mutex
	seen map[schemas.ID]*[moments]time.Time // in topics, by correlation id
}

// pathRow is a row as ClickHouse gave it, and when.
type pathRow struct {
	id schemas.ID
	at pathSample
}

func newPathWatch(s *Servers, u stack, o PathOptions) *pathWatch {
	e := u.endpoints
	return &pathWatch{PathOptions: o, servers: s, alive: u.process.alive,
		sql:  newSQLClient(e.ClickHouseHTTP, embed.Credentials{User: e.ClickHouseUser, Password: e.ClickHousePassword}),
		rows: map[schemas.ID]bool{}, seen: map[schemas.ID]*[moments]time.Time{}}
}

// errMeasured ends the onlookers.
var errMeasured = errors.New("measured")

// run looks until there are samples enough, and returns them in the order of
// their events.
func (w *pathWatch) run(ctx context.Context) ([]pathSample, error) {
	defer w.sql.close()
	client, err := avro.NewClient(w.servers.Registry)
	if err != nil {
		return nil, err
	}
	answers, err := avro.NewCodec[schemas.ResponseReceived](schemas.TopicResponses, client)
	if err != nil {
		return nil, err
	}
	observed, err := avro.NewCodec[schemas.Price](schemas.TopicObserved, client)
	if err != nil {
		return nil, err
	}
	prices, err := avro.NewCodec[schemas.Price](schemas.TopicPrices, client)
	if err != nil {
		return nil, err
	}
	ofPrice := func(p *schemas.Price) schemas.ID { return p.CorrelationID }
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return tail(ctx, w, schemas.TopicResponses, momentAnswer, answers, func(r *schemas.ResponseReceived) schemas.ID { return r.CorrelationID })
	})
	g.Go(func() error { return tail(ctx, w, schemas.TopicObserved, momentObserved, observed, ofPrice) })
	g.Go(func() error { return tail(ctx, w, schemas.TopicPrices, momentPublished, prices, ofPrice) })
	g.Go(func() error { return w.table(ctx) })
	if err := g.Wait(); !errors.Is(err, errMeasured) {
		return nil, err
	}
	return w.samples()
}

// tail notes when the records of a topic can be read.
func tail[T any](ctx context.Context, w *pathWatch, topic string, reached moment, codec *avro.Codec[T], correlation func(*T) schemas.ID) error {
	return kafka.Tail(ctx, w.servers.kafkaConfig(), topic, true, func(r stream.Record) error {
		now := time.Now()
		v := new(T)
		if err := codec.Decode(ctx, r.Value, v); err != nil {
			return fmt.Errorf("reading offset %d of %s: %w", r.Offset, topic, err)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		id := correlation(v)
		if w.seen[id] == nil {
			w.seen[id] = new([moments]time.Time)
		}
		w.seen[id][reached] = now
		return nil
	})
}

// table looks for rows until there are enough.
func (w *pathWatch) table(ctx context.Context) error {
	w.moved = time.Now()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for last := time.Now(); ; {
		begun := time.Now()
		if err := errors.Join(w.alive(), w.look(ctx)); err != nil {
			return err
		}
		if len(w.order) > 0 {
			w.looks = append(w.looks, time.Since(last))
		}
		last = begun
		if len(w.order) >= w.Polls && w.complete() {
			return errMeasured
		}
		if time.Since(w.moved) > overdue {
			return fmt.Errorf("no row for %v; `up` says in %s/up.log why", overdue, w.servers.dir+"/logs")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// complete says whether the records of all rows were seen in their topics. A row
// may be seen before the onlooker there has had its turn.
func (w *pathWatch) complete() bool {
	_, err := w.samples()
	return err == nil
}

// look asks for rows that were not seen. A row's moment is when the answer is
// there: rather too late.
func (w *pathWatch) look(ctx context.Context) error {
	// The server knows how many rows there are without reading any.
	count, err := w.sql.number(ctx, "SELECT count() FROM prices")
	if err != nil || count == w.count {
		return err
	}
	w.count = count
	// An insert may hold rows a little older than some that are there.
	text, err := w.sql.query(ctx, fmt.Sprintf(`SELECT toString(correlation_id), toUnixTimestamp64Micro(event_time), toUnixTimestamp64Micro(fetched_at),
		toUnixTimestamp64Micro(recorded_at), toUnixTimestamp64Micro(inserted_at) FROM prices
		WHERE recorded_at > fromUnixTimestamp64Micro(%d) ORDER BY event_time`, w.newest-(10*time.Second).Microseconds()))
	if err != nil {
		return err
	}
	now := time.Now()
	for line := range strings.Lines(text) {
		row, err := readPathRow(strings.TrimSpace(line), now)
		if err != nil {
			return err
		}
		if w.rows[row.id] {
			continue
		}
		w.rows[row.id], w.moved = true, now
		w.newest = max(w.newest, row.at.at[momentRecorded].UnixMicro())
		if len(w.rows) > warmUpPolls && len(w.order) < w.Polls {
			w.order = append(w.order, row)
			w.tell()
		}
	}
	return nil
}

// tell says how far it is, once a minute.
func (w *pathWatch) tell() {
	if n := len(w.order); n%max(1, int(time.Minute/w.Every)) == 0 {
		w.Progress("%d of %d polls are rows", n, w.Polls)
	}
}

func readPathRow(line string, seen time.Time) (row pathRow, err error) {
	cells := strings.Split(line, "\t")
	reached := []moment{momentEvent, momentFetched, momentRecorded, momentInserted}
	if len(cells) != 1+len(reached) {
		return row, fmt.Errorf("a row of %d columns: %q", len(cells), line)
	}
	if row.id, err = schemas.ParseID(cells[0]); err != nil {
		return row, err
	}
	for i, m := range reached {
		micros, err := strconv.ParseInt(cells[i+1], 10, 64)
		if err != nil {
			return row, err
		}
		row.at.at[m] = time.UnixMicro(micros)
	}
	row.at.at[momentRow] = seen
	return row, nil
}

// samples puts together what the onlookers saw.
func (w *pathWatch) samples() ([]pathSample, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	samples := make([]pathSample, 0, len(w.order))
	for _, row := range w.order {
		s := row.at
		topics := w.seen[row.id]
		if topics == nil {
			topics = new([moments]time.Time)
		}
		for _, m := range []moment{momentAnswer, momentObserved, momentPublished} {
			if s.at[m] = topics[m]; s.at[m].IsZero() {
				return nil, fmt.Errorf("the row of poll %v is there, but its record was not seen where the stage %q ends", row.id, stageNames()[m-1])
			}
		}
		samples = append(samples, s)
	}
	slices.SortFunc(samples, func(a, b pathSample) int { return a.at[momentEvent].Compare(b.at[momentEvent]) })
	return samples, nil
}
