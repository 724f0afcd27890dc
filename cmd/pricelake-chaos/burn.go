package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pricelake/pricelake/cmd/pricelake-chaos/count"
	"github.com/pricelake/pricelake/cmd/pricelake-chaos/market"
	"github.com/pricelake/pricelake/internal/failpoint"
)

// What a run does to the state of the deduplicator and to the names of INSERTs.

// headsFile has the records that were deleted in Kafka, in the folder of a run.
const headsFile = "heads.jsonl"

// headRecords is how many offsets of each partition of prices.v1 are deleted, so
// that a deduplicator without a disk needs the lake.
const headRecords = 100

// heads cuts the beginning of prices.v1 off. Safe for parallel use.
type heads struct {
	kafka *count.Kafka
	dir   string

	mu  sync.Mutex
	all count.Heads
}

// cut deletes the beginning of the partitions, once the lake has it. Where it does
// not, or a server is away, another time will do.
func (h *heads) cut(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := h.kafka.CutPrices(ctx, &h.all, headRecords); err != nil {
		return err
	}
	return h.all.WriteFile(filepath.Join(h.dir, headsFile))
}

const (
	// burnFor is how long ClickHouse answers nobody while names are used up,
	// burnAfter when it is done: by then what waits for it has a name.
	burnFor   = 4 * time.Second
	burnAfter = 1500 * time.Millisecond
)

// burn uses up the names of the blocks that the lake is about to write, as a server
// does that is killed after it has noted a name and before it has kept the rows.
// No byte of a role goes through meanwhile.
func (in *injector) burn(ctx context.Context) {
	in.clickHouse.Stall(burnFor)
	in.wg.Go(func() {
		timer := time.NewTimer(burnAfter)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		limit, cancel := context.WithTimeout(ctx, burnFor)
		defer cancel()
		if err := in.useUp(limit); err != nil {
			in.screen.say("using up names of INSERTs: %v", err)
		}
	})
}

// useUp inserts a row under each name. The rows are nobody's: the oracle counts
// those of the market.
func (in *injector) useUp(ctx context.Context) error {
	texts, cluster, err := in.log.Intents(ctx)
	if err != nil {
		return err
	}
	var g errgroup.Group
	for partition, text := range texts {
		prefix, ok := blockName(text, cluster, partition)
		if !ok {
			continue
		}
		for _, month := range market.Months() {
			statement := fmt.Sprintf("INSERT INTO prices (provider, event_time, price, _partition) SETTINGS insert_deduplicate = 1, insert_deduplication_token = '%s%s' VALUES ('nobody', '%s-%s-15 00:00:00', 1, -1)",
				prefix, month, month[:4], month[4:])
			g.Go(func() error { return in.lake.Exec(ctx, statement) })
		}
	}
	return g.Wait()
}

// blockName is how the names of a partition's next INSERTs begin, as the intent
// beside the committed offset says; the month follows.
func blockName(intent, cluster string, partition int32) (string, bool) {
	words := map[string]string{}
	for word := range strings.SplitSeq(intent, " ") {
		name, value, _ := strings.Cut(word, "=")
		words[name] = value
	}
	span := words["range"]
	if try := words["try"]; try != "" {
		span = try
	}
	if span == "" || words["topic"] == "" {
		return "", false
	}
	return fmt.Sprintf("lake:%s:%s:%s:%d:%s:%s:%s:", database, cluster, words["topic"], partition, span, words["epoch"], words["attempt"]), true
}

// provoked are failpoints that are passed only where something has gone wrong, and
// for which a run sees to it that it does.
func provoked() []failpoint.Point {
	return []failpoint.Point{failpoint.DedupeRestored, failpoint.LakeBisect, failpoint.LakeDeadLetter, failpoint.LakeRecoverBurned}
}

// refusals is how many answers restate a refused trade when that is waited for.
const refusals = 2

// provoke brings about what processes that are to end at points wait for.
func (in *injector) provoke(ctx context.Context, points []failpoint.Point) {
	for _, p := range points {
		switch p {
		case failpoint.DedupeRestored:
			if err := in.heads.cut(ctx); err != nil {
				in.screen.say("cutting off the beginning of prices.v1: %v", err)
			}
		case failpoint.LakeRecoverBurned:
			in.feed.Refuse(refusals) // so that there is something to write
			in.burn(ctx)
		case failpoint.LakeBisect, failpoint.LakeDeadLetter:
			in.feed.Refuse(refusals)
		}
	}
}
