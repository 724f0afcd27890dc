//go:build !noembed && unix

package embed

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"slices"
)

// pidsFile is where the broker notes the producers' ids and epochs.
const pidsFile = "pids.log"

// pidsHead is what stands before each entry of it: the length and the check sum
// of the rest, which begins with a version of two bytes.
const pidsHead = 8

// pidTimeout is the entry of a producer whose transaction was aborted for it.
type pidTimeout struct {
	Type     string `json:"type"`
	Producer int64  `json:"pid"`
	Epoch    int16  `json:"epoch"`
}

// fence gives producers the next epoch, so that who holds one of these ids has to
// begin anew. The last entry of a file may be torn; it goes.
func fence(path string, producers map[int64]int16) error {
	if len(producers) == 0 {
		return nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := truncate(path, int64(wholeEntries(raw))); err != nil {
		return err
	}
	var entries []byte
	for _, id := range slices.Sorted(maps.Keys(producers)) {
		if producers[id] == math.MaxInt16 {
			continue // exhausted: its owner gets another id by itself
		}
		entry, err := json.Marshal(pidTimeout{Type: "timeout", Producer: id, Epoch: producers[id] + 1})
		if err != nil {
			return err
		}
		entries = append(entries, framed(entry)...)
	}
	return appendFile(path, entries)
}

// wholeEntries is how many bytes the entries take that were written to their end.
func wholeEntries(raw []byte) int {
	end := 0
	for len(raw)-end >= pidsHead {
		length := int(binary.LittleEndian.Uint32(raw[end:]))
		if length < 2 || length > len(raw)-end-pidsHead {
			break
		}
		body := raw[end+pidsHead:][:length]
		if crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) != binary.LittleEndian.Uint32(raw[end+4:]) {
			break
		}
		end += pidsHead + length
	}
	return end
}

func framed(entry []byte) []byte {
	body := append(binary.LittleEndian.AppendUint16(nil, snapshotVersion), entry...)
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(b, body...)
}
