package dedupe

import (
	"encoding/binary"

	"github.com/pricelake/pricelake/internal/stream"
)

// formatVersion is the first byte of the checkpoint. A store with another one
// was written by another version of this program and is rebuilt.
const formatVersion = 1

// checkpoint says which part of the output partition's log is applied.
type checkpoint struct {
	// next is the first offset that is not applied.
	next int64
	// marker says that offset next, if there is one, holds the end marker of
	// the transaction applied last, not a record.
	marker bool
}

// unseen returns the first offset that may hold a record that is not applied.
func (c checkpoint) unseen() int64 {
	if c.marker {
		return c.next + 1
	}
	return c.next
}

func (c checkpoint) append(dst []byte, topic stream.TopicID) []byte {
	dst = append(dst, formatVersion)
	dst = append(dst, topic[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(c.next))
	return append(dst, bit(c.marker))
}

func decodeCheckpoint(p []byte) (c checkpoint, topic stream.TopicID, ok bool) {
	if len(p) != 1+len(topic)+8+1 || p[0] != formatVersion {
		return checkpoint{}, topic, false
	}
	copy(topic[:], p[1:])
	p = p[1+len(topic):]
	return checkpoint{next: int64(binary.BigEndian.Uint64(p)), marker: p[8] != 0}, topic, true
}

const maxEntryBytes = 8 + 2*binary.MaxVarintLen64

// append writes the hash, then revision with withdrawn, then the offset, the
// last two as varints: about a dozen bytes.
func (e entry) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, e.values)
	dst = binary.AppendUvarint(dst, uint64(uint32(e.revision))<<1|uint64(bit(e.withdrawn)))
	return binary.AppendUvarint(dst, uint64(e.offset))
}

func decodeEntry(p []byte) (e entry, ok bool) {
	if len(p) < 8 {
		return entry{}, false
	}
	e.values = binary.BigEndian.Uint64(p)
	p = p[8:]
	first, n := binary.Uvarint(p)
	if n <= 0 || first>>1 > 1<<31-1 {
		return entry{}, false
	}
	offset, m := binary.Uvarint(p[n:])
	if m <= 0 || n+m != len(p) {
		return entry{}, false
	}
	e.revision, e.withdrawn, e.offset = int32(first>>1), first&1 != 0, int64(offset)
	return e, true
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}
