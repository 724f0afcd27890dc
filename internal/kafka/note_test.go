package kafka

import (
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
)

// Whatever a quarantine's reason says, what is committed fits, and what the sink
// noted is whole.
func TestNotesFitBesideOffsets(t *testing.T) {
	for _, stopped := range []string{"", "short", strings.Repeat("a", 899), strings.Repeat("\"\\", 4000), strings.Repeat("\x00", 4000), strings.Repeat("\xff", 4000), strings.Repeat("ж", 4000), strings.Repeat("\U0010ffff", 4000)} {
		for _, sink := range []string{"", strings.Repeat("s", maxMetadata)} {
			n := note{id: stream.TopicID{1, 15: 2}, stopped: stopped, sink: sink}
			text := n.String()
			if len(text) > maxNote {
				t.Errorf("%.10q: a note of %d bytes", stopped, len(text))
			}
			got, ok := parseNote(text)
			if !ok || got.id != n.id || got.sink != sink || (got.stopped == "") != (stopped == "") {
				t.Errorf("%.10q: read back as %+v, %v", stopped, got, ok)
			}
			if len(stopped) < 800 && got.stopped != stopped {
				t.Errorf("%q was cut to %q", stopped, got.stopped)
			}
		}
	}
}
