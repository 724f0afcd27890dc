//go:build !noembed && unix

package embed

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// brokerDir makes the files of a broker with n partitions of one segment each.
func brokerDir(t testing.TB, n int) string {
	t.Helper()
	dir := t.TempDir()
	for p := range n {
		folder := partition(dir, p)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		add(t, folder, batch(1, 1, false))
	}
	appendTo(t, filepath.Join(dir, "pids.log"), "init")
	appendTo(t, filepath.Join(dir, "groups.log"), "offsets")
	return dir
}

func partition(dir string, p int) string {
	return filepath.Join(dir, "partitions", fmt.Sprintf("t-%d", p))
}

// batch is a record batch of which only what recovery reads is filled in.
func batch(producer int64, epoch int16, marker bool) string {
	b := make([]byte, 80)
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-batchHeader))
	if marker {
		b[22] = 0x30
	}
	binary.BigEndian.PutUint64(b[43:], uint64(producer))
	binary.BigEndian.PutUint16(b[51:], uint16(epoch))
	return string(b)
}

// add appends a batch and its index entry.
func add(t testing.TB, folder, batch string) {
	t.Helper()
	appendTo(t, filepath.Join(folder, "0.dat"), batch)
	appendTo(t, filepath.Join(folder, "0.idx"), string(make([]byte, indexEntryBytes)))
}

func appendTo(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// sizes are those of all files of the broker but the note.
func sizes(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	got := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == undoName {
			return err
		}
		info, err := e.Info()
		got[path] = info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// commitRequest is the end of the transaction of producer 7, epoch 3.
func commitRequest() kmsg.Request {
	req := kmsg.NewPtrEndTxnRequest()
	req.ProducerID, req.ProducerEpoch, req.Commit = 7, 3, true
	return req
}

func TestRecoverLog(t *testing.T) {
	marker := func(t *testing.T, dir string, p int) { add(t, partition(dir, p), batch(7, 3, true)) }
	for name, tc := range map[string]struct {
		after func(t *testing.T, dir string) // what the broker still wrote
		back  bool                           // whether that is taken back
	}{
		"nothing":     {func(*testing.T, string) {}, true},
		"some marker": {func(t *testing.T, dir string) { marker(t, dir, 0) }, true},
		"all markers and some offsets": {func(t *testing.T, dir string) {
			marker(t, dir, 0)
			marker(t, dir, 1)
			appendTo(t, filepath.Join(dir, "groups.log"), "half")
		}, true},
		"a marker in a new segment": {func(t *testing.T, dir string) {
			appendTo(t, filepath.Join(partition(dir, 0), "5.dat"), batch(7, 3, true))
			appendTo(t, filepath.Join(partition(dir, 0), "5.idx"), string(make([]byte, indexEntryBytes)))
		}, true},
		"half a marker":               {func(t *testing.T, dir string) { appendTo(t, partition(dir, 0)+"/0.dat", batch(7, 3, true)[:30]) }, true},
		"a batch without index entry": {func(t *testing.T, dir string) { appendTo(t, partition(dir, 0)+"/0.dat", batch(9, 1, false)) }, true},
		"a batch with half its entry": {func(t *testing.T, dir string) {
			appendTo(t, partition(dir, 0)+"/0.dat", batch(9, 1, false))
			appendTo(t, partition(dir, 0)+"/0.idx", "half")
		}, true},
		"the whole commit": {func(t *testing.T, dir string) {
			marker(t, dir, 0)
			appendTo(t, filepath.Join(dir, "pids.log"), "endtx")
		}, false},
		"a refused commit, then records of another producer": {func(t *testing.T, dir string) { add(t, partition(dir, 0), batch(9, 1, false)) }, false},
		"a refused commit, then offsets of another group":    {func(t *testing.T, dir string) { appendTo(t, filepath.Join(dir, "groups.log"), "acked") }, false},
		"a marker of another transaction":                    {func(t *testing.T, dir string) { add(t, partition(dir, 0), batch(9, 1, true)) }, false},
		"a marker and then a record": {func(t *testing.T, dir string) {
			marker(t, dir, 0)
			add(t, partition(dir, 0), batch(9, 1, false))
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := brokerDir(t, 3)
			u, err := openUndo(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := u.before(commitRequest()); err != nil {
				t.Fatal(err)
			}
			before := sizes(t, dir)
			tc.after(t, dir)
			after := sizes(t, dir)
			if err := u.file.Close(); err != nil { // as a kill does
				t.Fatal(err)
			}
			if err := recoverLog(dir, slog.New(slog.DiscardHandler)); err != nil {
				t.Fatal(err)
			}
			want := after
			if tc.back {
				want = before
			}
			if got := sizes(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("sizes %v, want %v", got, want)
			}
		})
	}
}

// A start that is killed while it takes a commit back leaves what the next start
// needs to finish, wherever it stopped.
func TestRecoverLogFinishesWhatARecoveryBegan(t *testing.T) {
	for stop := 0; ; stop++ {
		dir := brokerDir(t, 3)
		u, err := openUndo(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := u.before(commitRequest()); err != nil {
			t.Fatal(err)
		}
		want := withoutEmpty(sizes(t, dir))
		add(t, partition(dir, 0), batch(7, 3, true))
		appendTo(t, filepath.Join(partition(dir, 1), "5.dat"), batch(7, 3, true))
		appendTo(t, filepath.Join(partition(dir, 1), "5.idx"), string(make([]byte, indexEntryBytes)))
		add(t, partition(dir, 2), batch(7, 3, true))
		appendTo(t, filepath.Join(dir, "groups.log"), "offsets of the transaction")
		if err := u.file.Close(); err != nil {
			t.Fatal(err)
		}
		note, _, noted, err := readUndo(dir)
		if err != nil || !noted {
			t.Fatalf("noted %t: %v", noted, err)
		}
		steps, err := note.stepsBack(dir, []string{"t-0", "t-1", "t-2"})
		if err != nil {
			t.Fatal(err)
		}
		for _, step := range steps[:stop] {
			if err := step(); err != nil {
				t.Fatal(err)
			}
		}
		if err := recoverLog(dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Errorf("after %d of %d steps: %v", stop, len(steps), err)
		}
		if got := withoutEmpty(sizes(t, dir)); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("after %d of %d steps: sizes %v, want %v", stop, len(steps), got, want)
		}
		if stop == len(steps) {
			return
		}
	}
}

// withoutEmpty leaves out empty files: the broker passes over empty segments.
func withoutEmpty(sizes map[string]int64) map[string]int64 {
	maps.DeleteFunc(sizes, func(_ string, size int64) bool { return size == 0 })
	return sizes
}

func TestRecoverLogLeavesACleanStopAlone(t *testing.T) {
	dir := brokerDir(t, 1)
	u, err := openUndo(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.before(commitRequest()); err != nil {
		t.Fatal(err)
	}
	add(t, partition(dir, 0), batch(7, 3, true))
	if err := u.close(); err != nil {
		t.Fatal(err)
	}
	want := sizes(t, dir)
	if err := recoverLog(dir, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	if got := sizes(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("sizes %v, want %v", got, want)
	}
}

func TestRecoverLogWithoutAWholeNote(t *testing.T) {
	for _, note := range []string{"", "short", "\xff\xff\xff\xff\x00\x00\x00\x00{}", "\x02\x00\x00\x00\x00\x00\x00\x00{}"} {
		dir := brokerDir(t, 1)
		appendTo(t, filepath.Join(dir, undoName), note)
		want := sizes(t, dir)
		appendTo(t, partition(dir, 0)+"/0.dat", "half a batch")
		if err := recoverLog(dir, slog.New(slog.DiscardHandler)); err != nil {
			t.Fatal(err)
		}
		if got := sizes(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("note %q: sizes %v, want %v", note, got, want)
		}
	}
}

// The broker's loop waits for this before every commit.
func BenchmarkUndoBefore(b *testing.B) {
	u, err := openUndo(brokerDir(b, 40))
	if err != nil {
		b.Fatal(err)
	}
	defer u.close()
	req := commitRequest()
	for b.Loop() {
		if err := u.before(req); err != nil {
			b.Fatal(err)
		}
	}
}
