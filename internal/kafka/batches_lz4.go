package kafka

import (
	"encoding/binary"
	"slices"

	"github.com/pierrec/lz4/v4"
)

// The frame format of LZ4, as far as Kafka uses it (KIP-57).
const (
	lz4Magic       = 0x184D2204
	lz4Version     = 0b0100_0000
	lz4VersionMask = 0b1100_0000
	lz4Independent = 0b0010_0000 // blocks do not refer to each other
	lz4BlockSums   = 0b0001_0000
	lz4Size        = 0b0000_1000
	lz4Dictionary  = 0b0000_0001
	lz4Stored      = 1 << 31 // in the size of a block: it is not compressed
)

// appendLZ4 decompresses a frame behind what is in dst, which does not grow above most
// bytes. The batch that has the frame has a checksum of it, so those of the frame are not
// looked at.
func appendLZ4(dst, in []byte, most int) ([]byte, error) {
	if len(in) < 7 || binary.LittleEndian.Uint32(in) != lz4Magic {
		return dst, errUnusual
	}
	flags, largest := in[4], in[5]>>4&7
	if flags&lz4VersionMask != lz4Version || flags&lz4Independent == 0 || flags&lz4Dictionary != 0 || largest < 4 {
		return dst, errUnusual
	}
	head := 7
	if flags&lz4Size != 0 {
		head += 8
	}
	for in = tail(in, head); len(in) >= 4; {
		size := binary.LittleEndian.Uint32(in)
		if in = in[4:]; size == 0 {
			return dst, nil
		}
		stored := size&lz4Stored != 0
		if size &^= lz4Stored; int64(size) > int64(len(in)) {
			break
		}
		var err error
		if stored {
			dst, err = appendStored(dst, in[:size], most)
		} else {
			dst, err = appendBlock(dst, in[:size], 1<<(8+2*largest), most)
		}
		if err != nil {
			return dst, err
		}
		if in = in[size:]; flags&lz4BlockSums != 0 {
			in = tail(in, 4)
		}
	}
	return dst, errUnusual // it does not end
}

func tail(in []byte, from int) []byte { return in[min(from, len(in)):] }

func appendStored(dst, block []byte, most int) ([]byte, error) {
	if len(dst)+len(block) > most {
		return dst, errUnusual
	}
	return append(dst, block...), nil
}

// appendBlock decompresses a block of at most so many bytes. How many it has is not
// known: it gets twice the memory until it fits.
func appendBlock(dst, block []byte, largest, most int) ([]byte, error) {
	for room := 4*len(block) + 64; ; room *= 2 {
		room = min(max(room, cap(dst)-len(dst)), largest, most-len(dst))
		dst = slices.Grow(dst, room)
		n, err := lz4.UncompressBlock(block, dst[len(dst):len(dst)+room])
		if err == nil {
			return dst[:len(dst)+n], nil
		}
		if room == largest || room == most-len(dst) {
			return dst, errUnusual
		}
	}
}
