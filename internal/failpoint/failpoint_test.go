package failpoint

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestMain is also the process that a failpoint kills.
func TestMain(m *testing.M) {
	if os.Getenv("FAILPOINT_CHILD") == "" {
		os.Exit(m.Run())
	}
	s, err := FromEnv(os.Getenv)
	if err != nil {
		os.Exit(3)
	}
	for range 3 {
		if err := s.Hit(LakeInsertAcked); err != nil {
			os.Exit(4)
		}
	}
	os.Exit(0)
}

func TestNilSetDoesNothing(t *testing.T) {
	var s *Set
	if err := errors.Join(s.Hit(LakeInsert), s.Err()); err != nil {
		t.Fatal(err)
	}
	if s, err := FromEnv(func(string) string { return "" }); s != nil || err != nil {
		t.Fatalf("an empty environment made %v, %v", s, err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = s.Hit(LakeInsert) }); n != 0 {
		t.Errorf("a hit of nothing allocates %v times", n)
	}
}

func TestActsOnTheHitsAskedFor(t *testing.T) {
	s, err := Parse("lake.insert = error@2*2 ; poller.taken=delay:1ms")
	if err != nil {
		t.Fatal(err)
	}
	var got []bool
	for range 5 {
		got = append(got, errors.Is(s.Hit(LakeInsert), ErrInjected))
	}
	if !slices.Equal(got, []bool{false, true, true, false, false}) {
		t.Errorf("errors came at %v", got)
	}
	if err := s.Hit(RangeIntent); err != nil {
		t.Errorf("a point that is not armed: %v", err)
	}
	begun := time.Now()
	if err := s.Hit(PollerTaken); err != nil || time.Since(begun) < time.Millisecond {
		t.Errorf("delayed for %s, %v", time.Since(begun), err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"lake.insert", "nowhere=kill", "lake.insert=explode", "lake.insert=kill@0", "lake.insert=kill*x", "lake.insert=delay", "lake.insert=delay:soon", "lake.insert=kill:1s", "lake.insert=delay:-1s"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("lake.insert=kill@3; poller.answer.read=delay:200ms*5")
	f.Fuzz(func(t *testing.T, text string) {
		if s, err := Parse(text); err == nil && s == nil {
			t.Error("no set and no error")
		}
	})
}

// TestKillsItself: the third hit ends the process, and the log has it.
func TestKillsItself(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	run := func(text string) error {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "FAILPOINT_CHILD=1", Env+"="+text, LogEnv+"="+log)
		return cmd.Run()
	}
	err := run("lake.insert.acked=kill@3")
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(exit.String(), "killed") {
		t.Errorf("the process ended with %v", err)
	}
	if err := run(""); err != nil {
		t.Errorf("a process without armed points ended with %v", err)
	}
	if err := run("lake.insert.acked=error"); err == nil {
		t.Error("no error came back")
	}
	got, err := ReadLog(log)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[LakeInsertAcked] != (Counts{Passed: 3, Fired: 2}) {
		t.Errorf("the log says %v", got)
	}
	if got, err := ReadLog(log + "-none"); len(got) != 0 || err != nil {
		t.Errorf("a log that does not exist says %v, %v", got, err)
	}
}

func TestHitsInParallel(t *testing.T) {
	s, err := Parse("lake.insert=error@1*50")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if s.Hit(LakeInsert) != nil {
					mu.Lock()
					failed++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if failed != 50 {
		t.Errorf("%d errors, 50 were asked for", failed)
	}
}

func TestPointsAreDescribed(t *testing.T) {
	seen := map[Point]bool{}
	for _, d := range Points() {
		if seen[d.Point] || d.Text == "" || !strings.Contains(string(d.Point), ".") {
			t.Errorf("a point without a name or text of its own: %+v", d)
		}
		seen[d.Point] = true
	}
	if len(seen) < 25 {
		t.Errorf("only %d points", len(seen))
	}
}

func BenchmarkHitOfNothing(b *testing.B) {
	var s *Set
	for b.Loop() {
		_ = s.Hit(LakeInsert)
	}
}
