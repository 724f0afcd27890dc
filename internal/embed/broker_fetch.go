//go:build !noembed && unix

package embed

import (
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fetchShare is the least that a partition may give in one answer although
// the request's partitions share its limit.
const fetchShare = 256 << 10

// beforeFetch replaces the limit of a whole answer by limits of its partitions. An
// answer that the broker cuts at the former names no aborted transactions of the
// partition that it is cut in, so that clients take their records for committed
// (the jump over that list in kfake's handleFetch).
func beforeFetch(req kmsg.Request) (kmsg.Response, error, bool) {
	fetch, ok := req.(*kmsg.FetchRequest)
	if !ok {
		return nil, nil, false
	}
	partitions := 0
	for i := range fetch.Topics {
		partitions += len(fetch.Topics[i].Partitions)
	}
	if partitions > 0 && fetch.MaxBytes > 0 {
		limitPartitions(fetch, max(fetch.MaxBytes/int32(partitions), fetchShare))
	}
	fetch.MaxBytes = math.MaxInt32
	return nil, nil, false
}

func limitPartitions(fetch *kmsg.FetchRequest, most int32) {
	for i := range fetch.Topics {
		for j := range fetch.Topics[i].Partitions {
			p := &fetch.Topics[i].Partitions[j]
			p.PartitionMaxBytes = min(p.PartitionMaxBytes, most)
		}
	}
}
