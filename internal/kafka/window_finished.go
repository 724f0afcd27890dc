package kafka

import (
	"encoding/base64"
	"errors"
	"iter"
	"strconv"
	"strings"
)

// The commit of a Window is the lowest unfinished offset. Requests above it that
// are finished travel beside it, so that the next owner does not repeat them: a
// bitmap whose bit i stands for offset base+i, in base64, behind a prefix, the
// topic's id and the base. Offsets mean something in one topic only: of one that
// was deleted and made anew under the same name they are other requests.

const (
	finishedPrefix = "done1:"
	// finishedTopic is the length of a topic's id in base64.
	finishedTopic = 22
	// finishedOffsets bounds the distance from the commit that is noted, by
	// what fits into maxMetadata. A request farther off is not begun.
	finishedOffsets int64 = (int64(maxMetadata) - int64(len(finishedPrefix)) - finishedTopic - 21) / 4 * 3 * 8
)

// encodeFinished returns the metadata of a commit at offset next; empty when
// nothing above it is finished. done yields the offsets that are, in any order.
func encodeFinished(topic [16]byte, next int64, done iter.Seq[int64]) string {
	var bits []byte
	for offset := range done {
		i := offset - next
		if i < 0 || i >= finishedOffsets {
			continue
		}
		for int(i/8) >= len(bits) {
			bits = append(bits, 0)
		}
		bits[i/8] |= 1 << (i % 8)
	}
	if bits == nil {
		return ""
	}
	return finishedPrefix + base64.RawStdEncoding.EncodeToString(topic[:]) + ":" + strconv.FormatInt(next, 10) + ":" + base64.RawStdEncoding.EncodeToString(bits)
}

var (
	errNotFinished   = errors.New("the text beside the committed offset is not a list of finished requests")
	errFinishedOther = errors.New("the list of finished requests is that of a deleted topic of the same name")
)

// decodeFinished returns the offsets of the topic that were finished at the commit.
func decodeFinished(topic [16]byte, metadata string) (map[int64]struct{}, error) {
	if metadata == "" {
		return nil, nil
	}
	text, ok := strings.CutPrefix(metadata, finishedPrefix)
	id, text, _ := strings.Cut(text, ":")
	base, text, sep := strings.Cut(text, ":")
	next, err := strconv.ParseInt(base, 10, 64)
	bits, err64 := base64.RawStdEncoding.DecodeString(text)
	if err = errors.Join(err, err64); !ok || !sep || err != nil || next < 0 || len(bits) > maxMetadata {
		return nil, errors.Join(errNotFinished, err)
	}
	if id != base64.RawStdEncoding.EncodeToString(topic[:]) {
		return nil, errFinishedOther
	}
	done := make(map[int64]struct{})
	for i := range int64(len(bits) * 8) {
		if bits[i/8]&(1<<(i%8)) != 0 {
			done[next+i] = struct{}{}
		}
	}
	return done, nil
}
