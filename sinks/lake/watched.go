package lake

import (
	"context"
	"time"
)

// watchGrace is how long a context that the client library has watched lives on.
// The library's watchdog of an INSERT may come to run only after the INSERT has
// ended; it finds both that it is to stop and, if the context has ended as well,
// that it is to close the connection, and takes either (context_watchdog.go of
// clickhouse-go). The connection then is that of the next INSERT.
const watchGrace = time.Second

// watched returns a context for one INSERT that ends with ctx or after the timeout.
// Once done was called it does not end with ctx any more, and by itself only after
// watchGrace.
func watched(ctx context.Context, timeout time.Duration) (own context.Context, done func()) {
	own, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	stop := context.AfterFunc(ctx, cancel)
	return own, func() {
		stop()
		time.AfterFunc(watchGrace, cancel)
	}
}
