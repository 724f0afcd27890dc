package kafka

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

var topicID = [16]byte{1, 2, 3}

// TestFinishedRoundTrip: whatever is finished above a commit is read back, as far
// as the metadata of a commit reaches, and nothing else.
func TestFinishedRoundTrip(t *testing.T) {
	for range 500 {
		next := rand.Int64N(1 << 40)
		var finished []int64
		want := make(map[int64]struct{})
		at := next
		for range rand.IntN(1500) {
			if rand.IntN(2) == 0 {
				finished = append(finished, at)
				if at-next < finishedOffsets {
					want[at] = struct{}{}
				}
			}
			at += 1 + rand.Int64N(8) // transaction markers lie between
		}
		text := encodeFinished(topicID, next, slices.Values(finished))
		if len(text) > maxMetadata {
			t.Fatalf("%d bytes of metadata", len(text))
		}
		got, err := decodeFinished(topicID, text)
		if err != nil || len(got) != len(want) {
			t.Fatalf("%d offsets read back, want %d (%v)", len(got), len(want), err)
		}
		for o := range want {
			if _, ok := got[o]; !ok {
				t.Fatalf("offset %d is missing", o)
			}
		}
	}
}

// TestFinishedOfAnotherTopic: a topic that was deleted and made anew has other
// requests at the same offsets.
func TestFinishedOfAnotherTopic(t *testing.T) {
	text := encodeFinished(topicID, 10, slices.Values([]int64{12}))
	if got, err := decodeFinished([16]byte{9}, text); len(got) != 0 || !errors.Is(err, errFinishedOther) {
		t.Errorf("%d offsets, %v", len(got), err)
	}
}

func TestFinishedBound(t *testing.T) {
	text := encodeFinished(topicID, math.MaxInt64-finishedOffsets+1, slices.Values([]int64{math.MaxInt64}))
	if got, err := decodeFinished(topicID, text); len(text) > maxMetadata || err != nil || len(got) != 1 {
		t.Errorf("%d bytes, %d offsets, %v", len(text), len(got), err)
	}
}

func FuzzDecodeFinished(f *testing.F) {
	f.Add("")
	f.Add("done1:AQIDAAAAAAAAAAAAAAAAAA:17:AQ")
	f.Add("done1:AQIDAAAAAAAAAAAAAAAAAA:9223372036854775807:" + strings.Repeat("/", 900))
	f.Add("done1:17:AQ")
	f.Add("done2:1:AQ")
	f.Fuzz(func(t *testing.T, text string) {
		done, err := decodeFinished(topicID, text)
		if err != nil && done != nil {
			t.Error("offsets beside an error")
		}
	})
}
