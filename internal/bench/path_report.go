package bench

import "time"

// PathReport is how long prices took from the event in an API's answer until an
// onlooker could read their rows, and where that time went.
type PathReport struct {
	Polls        int     `json:"polls"`
	EverySeconds float64 `json:"every_seconds"`
	FlushSeconds float64 `json:"flush_seconds"`
	Samples      int     `json:"samples"`
	// ResolutionSeconds is how far apart two looks at the table were, but for one
	// in a hundred: what Total, and the last stage, may be too long by.
	ResolutionSeconds float64   `json:"resolution_seconds"`
	Total             PathStage `json:"total"`
	// Stages follow each other; those of one sample add up to its total.
	Stages []PathStage `json:"stages"`
}

// PathStage is how long one part of the way took, in seconds. It may be below 0
// by as much as an onlooker sees the moment before it too late.
type PathStage struct {
	Stage string  `json:"stage"`
	P50   float64 `json:"p50_seconds"`
	P90   float64 `json:"p90_seconds"`
	P99   float64 `json:"p99_seconds"`
	Max   float64 `json:"max_seconds"`
	// Slowest is the mean over the hundredth of the samples whose total is the
	// longest.
	Slowest float64 `json:"slowest_mean_seconds"`
}

// moment is a point on the way of a price.
type moment int

const (
	momentEvent     moment = iota // what the answer says its price is of: when the API made it
	momentFetched                 // the poller has read the answer to its end
	momentAnswer                  // the answer can be read in responses.v1
	momentObserved                // the price can be read in prices.observed.v1
	momentRecorded                // the broker has appended it to prices.v1, in whole milliseconds
	momentPublished               // it can be read in prices.v1
	momentInserted                // the lake begins its INSERT
	momentRow                     // its row can be read
	moments
)

// stageNames are those of the stages between moments, in their order.
func stageNames() []string {
	return []string{
		"poller reads the answer",
		"poller commits it",
		"normalizer",
		"deduplicator appends to prices.v1",
		"deduplicator commits",
		"lake waits for its flush",
		"lake inserts",
	}
}

// pathSample is one price. Its moments are read from one machine's clock.
type pathSample struct {
	at [moments]time.Time
}

// percentile is that of sorted values, which are not none.
func percentile(sorted []time.Duration, permille int) time.Duration {
	return sorted[min(len(sorted)-1, len(sorted)*permille/1000)]
}
