package kafka

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/pricelake/pricelake/internal/stream"
)

// note is what Range commits beside an offset: to which topic the offset
// belongs, why the partition stands still if it does, and what the sink has
// noted. A topic that was created again under its name keeps the group's
// offsets on some brokers; its id tells.
type note struct {
	id      stream.TopicID
	stopped string
	sink    string
}

const (
	noteVersion = "range1"
	// maxStopped bounds the reason of a quarantine as it is quoted, where every
	// letter may take six: with it and an intent a note stays within maxNote.
	maxStopped = 900
)

// String returns the note as it is committed, readable by people.
func (n note) String() string {
	text := fmt.Sprintf("%s id=%x", noteVersion, n.id[:])
	if n.stopped != "" {
		text += " stopped=" + quoted(n.stopped, maxStopped)
	}
	if n.sink != "" {
		text += " " + n.sink
	}
	return text
}

// quoted quotes as much of a text as fits.
func quoted(text string, most int) string {
	text = text[:min(len(text), most)]
	for {
		q := strconv.QuoteToASCII(text)
		if len(q) <= most {
			return q
		}
		text = text[:len(text)-(len(q)-most+9)/10] // a letter becomes ten at most
	}
}

// parseNote reads what String wrote; ok is false for anything else, such as
// what an earlier version committed.
func parseNote(text string) (n note, ok bool) {
	rest, ok := strings.CutPrefix(text, noteVersion+" id=")
	if !ok {
		return note{}, false
	}
	word, rest, _ := strings.Cut(rest, " ")
	if id, err := hex.DecodeString(word); err != nil || copy(n.id[:], id) != len(n.id) || len(id) != len(n.id) {
		return note{}, false
	}
	if quoted, found := strings.CutPrefix(rest, "stopped="); found {
		prefix, err := strconv.QuotedPrefix(quoted)
		if err != nil {
			return note{}, false
		}
		if n.stopped, err = strconv.Unquote(prefix); err != nil {
			return note{}, false
		}
		rest = strings.TrimPrefix(quoted[len(prefix):], " ")
	}
	n.sink = rest
	return n, true
}
