//go:build !noembed && unix

package embed

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// endsFile holds where each partition ended when it was last looked at, by the
// name of its folder.
const endsFile = "ends.json"

// noteEnds writes down where the partitions end. The broker itself knows it from
// their records only: one whose records have all been deleted would begin anew at
// offset 0 after a restart, with positions and rows of the old records beside new
// ones of the same offsets.
func (b *Broker) noteEnds() error {
	names, err := partitionFolders(b.dir)
	if err != nil {
		return err
	}
	ends := make(map[string]int64, len(names))
	for _, name := range names {
		topic, partition, ok := partitionOf(name)
		if !ok {
			continue
		}
		if info := b.cluster.PartitionInfo(topic, partition); info != nil {
			ends[name] = info.HighWatermark
		}
	}
	return writeJSON(filepath.Join(b.dir, endsFile), ends)
}

// partitionOf reads the name of a partition's folder.
func partitionOf(name string) (topic string, partition int32, ok bool) {
	cut := strings.LastIndexByte(name, '-')
	if cut < 0 {
		return "", 0, false
	}
	topic, err := url.PathUnescape(name[:cut])
	n, err2 := strconv.ParseInt(name[cut+1:], 10, 32)
	return topic, int32(n), err == nil && err2 == nil
}

// partitionSnapshot is what the broker writes of a partition when it is closed,
// and believes at its next start if the files have the sizes that are in it.
type partitionSnapshot struct {
	Version          int               `json:"version"`
	HighWatermark    int64             `json:"high_watermark"`
	LastStableOffset int64             `json:"last_stable_offset"`
	LogStartOffset   int64             `json:"log_start_offset"`
	Epoch            int32             `json:"epoch"`
	LeaderNode       int32             `json:"leader_node,omitempty"`
	MaxTimestamp     int64             `json:"max_timestamp"`
	CreatedAt        time.Time         `json:"created_at"`
	Segments         []snapshotSegment `json:"segments"`
}

type snapshotSegment struct {
	BaseOffset int64 `json:"base_offset"`
	Size       int64 `json:"size"`
}

// snapshotVersion is that of the broker's files.
const snapshotVersion = 1

// keepEnds makes partitions without a record go on where they ended. The broker
// passes over the snapshot of a partition without files, so it gets an empty one.
func keepEnds(dir string) error {
	ends := map[string]int64{}
	if _, err := readJSON(filepath.Join(dir, endsFile), &ends); err != nil {
		return err
	}
	names, err := partitionFolders(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := keepEnd(filepath.Join(dir, "partitions", name), ends[name]); err != nil {
			return fmt.Errorf("keeping the end of the empty partition %q: %w", name, err)
		}
	}
	return nil
}

func keepEnd(folder string, end int64) error {
	bases, err := segments(folder)
	if err != nil {
		return err
	}
	for _, base := range bases {
		if size, err := sizeOf(segmentFile(folder, base, ".dat")); err != nil || size > 0 {
			return err
		}
	}
	file := filepath.Join(folder, "snapshot.json")
	snapshot := partitionSnapshot{Version: snapshotVersion, LeaderNode: 0, CreatedAt: time.Now()}
	if _, err := readJSON(file, &snapshot); err != nil {
		return err
	}
	if end = max(end, snapshot.HighWatermark); end == 0 {
		return nil
	}
	for _, base := range bases {
		if err := errors.Join(remove(segmentFile(folder, base, ".idx")), remove(segmentFile(folder, base, ".dat"))); err != nil {
			return err
		}
	}
	if err := os.WriteFile(segmentFile(folder, end, ".dat"), nil, 0o600); err != nil {
		return err
	}
	snapshot.HighWatermark, snapshot.LastStableOffset, snapshot.LogStartOffset = end, end, end
	snapshot.Segments = []snapshotSegment{{BaseOffset: end}}
	return writeJSON(file, snapshot)
}
