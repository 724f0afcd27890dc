package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

// lz4Frames reads batches compressed with lz4, and no others. The library's reader
// takes two buffers of 4 MiB for each batch, of a pool that the race detector makes
// forget every fourth: a topic of many small batches took it over a minute.
type lz4Frames struct {
	mu sync.Mutex
	b  []byte
}

// Decompress is for kgo.WithDecompressor.
func (l *lz4Frames) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	switch codec {
	case kgo.CodecNone:
		return src, nil
	case kgo.CodecLz4:
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.frame(src)
	}
	return nil, fmt.Errorf("a batch of codec %d: roles write lz4", codec)
}

// frame decodes an LZ4 frame of blocks of 4 MiB at most (lz4_Frame_format.md), which
// have to be independent; it trusts the batch's checksum.
func (l *lz4Frames) frame(src []byte) (out []byte, err error) {
	const magic, independent, blockSums, contentSize, dictionary, maxBlock = 0x184D2204, 1 << 5, 1 << 4, 1 << 3, 1, 4 << 20
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != magic || src[4]&independent == 0 || src[4]&dictionary != 0 {
		return nil, fmt.Errorf("no LZ4 frame of independent blocks: % x", src[:min(len(src), 7)])
	}
	flags, src := src[4], src[7:]
	if flags&contentSize != 0 {
		src = src[min(8, len(src)):]
	}
	for len(src) >= 4 {
		size := binary.LittleEndian.Uint32(src)
		src = src[4:]
		if size == 0 {
			return out, nil
		}
		stored, size := size>>31 == 1, size&^(1<<31)
		if int(size) > len(src) {
			break
		}
		if block := src[:size]; stored {
			out = append(out, block...)
		} else {
			if l.b == nil {
				l.b = make([]byte, maxBlock)
			}
			n, err := lz4.UncompressBlock(block, l.b)
			if err != nil {
				return nil, err
			}
			out = append(slices.Grow(out, n), l.b[:n]...)
		}
		src = src[size:]
		if flags&blockSums != 0 {
			src = src[min(4, len(src)):]
		}
	}
	return nil, errors.New("an LZ4 frame without an end")
}
