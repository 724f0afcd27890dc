package lake

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// An INSERT that has ended leaves a context behind that nothing ends soon: not its
// end, and not that of who asked for it.
func TestWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, cancel := context.WithCancel(t.Context())
		ctx, done := watched(asked, time.Minute)
		done()
		cancel()
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error("the context ended with its INSERT: a watchdog that comes late closes the connection of the next one")
		}
		time.Sleep(watchGrace + time.Millisecond)
		if ctx.Err() == nil {
			t.Error("the context stays for ever")
		}

		asked, cancel = context.WithCancel(t.Context())
		ctx, done = watched(asked, time.Minute)
		defer done()
		cancel()
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("an INSERT goes on though nobody waits for it")
		}

		late, done := watched(t.Context(), time.Minute)
		defer done()
		time.Sleep(time.Minute + time.Millisecond)
		if late.Err() != context.DeadlineExceeded {
			t.Errorf("after the timeout: %v", late.Err())
		}
	})
}
