package app

import (
	"context"
	"time"
)

// Counts is the live line of `up`.
type Counts struct {
	Event       string    `json:"event"` // "counts"
	Polls       uint64    `json:"polls"`
	Prices      uint64    `json:"prices"`
	Providers   uint64    `json:"providers"`
	Rejected    uint64    `json:"rejected"`
	DeadLetters uint64    `json:"dead_letters"`
	Newest      time.Time `json:"newest"` // when the last poll that brought prices finished
}

// countsSQL reads no table whole: counts come from the parts' headers (but for
// dead letters, which are few and may be there twice under one id), the rest
// from the last hour of polls.
const countsSQL = `SELECT (SELECT count() FROM polls), (SELECT count() FROM prices_rejected), (SELECT uniqExact(dead_letter_id) FROM dead_letters), (SELECT count() FROM prices),
	(SELECT uniqIf(provider, valued > 0) FROM polls WHERE finished_at > now() - INTERVAL 1 HOUR),
	(SELECT toUnixTimestamp64Micro(maxIf(finished_at, valued > 0)) FROM polls WHERE finished_at > now() - INTERVAL 1 HOUR)`

const countsInterval = time.Second

// watchCounts calls each with fresh counts until ctx ends. A lake that is away
// is no news here.
func (a *App) watchCounts(ctx context.Context, each func(Counts)) error {
	follow(ctx, a.log, "the counts of rows", countsInterval, func(ctx context.Context) error {
		return a.eachRow(ctx, countsSQL, func(c []string) {
			each(Counts{Event: "counts", Polls: count(c[0]), Rejected: count(c[1]), DeadLetters: count(c[2]),
				Prices: count(c[3]), Providers: count(c[4]), Newest: micros(c[5])})
		})
	})
	return nil
}
