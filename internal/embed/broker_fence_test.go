//go:build !noembed && unix

package embed

import (
	"os"
	"path/filepath"
	"testing"
)

// The broker reads the producers' file up to the first entry that is torn: what
// is added has to stand before it.
func TestFenceAddsBehindTheLastWholeEntry(t *testing.T) {
	path := filepath.Join(t.TempDir(), pidsFile)
	whole := framed([]byte(`{"type":"init","pid":7,"epoch":3}`))
	if err := os.WriteFile(path, append(whole, framed([]byte(`{"type":"init","pid":8}`))[:20]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := fence(path, map[int64]int16{7: 3, 9: 32767}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := string(whole) + string(framed([]byte(`{"type":"timeout","pid":7,"epoch":4}`))); string(raw) != want {
		t.Errorf("got %q, want %q", raw, want)
	}
	if wholeEntries(raw) != len(raw) {
		t.Errorf("%d of %d bytes are whole entries", wholeEntries(raw), len(raw))
	}
}

func FuzzWholeEntries(f *testing.F) {
	f.Add(framed([]byte("{}")))
	f.Add([]byte{255, 255, 255, 255, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if n := wholeEntries(raw); n < 0 || n > len(raw) {
			t.Errorf("%d of %d bytes", n, len(raw))
		}
	})
}
