package poller

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds how long a server can make a poll wait.
const maxRetryAfter = 15 * time.Minute

// backoff is the pause before attempt next (from 2): exponential with full
// jitter, that is anything from zero to twice a mean that doubles with each
// attempt, at most limit. jitter(n) returns a random number in [0, n).
func backoff(next int32, mean, limit time.Duration, jitter func(int64) int64) time.Duration {
	top := 2 * mean
	for i := int32(2); i < next && top < limit; i++ {
		top *= 2
	}
	top = min(top, limit)
	if top <= 0 {
		return 0
	}
	return time.Duration(jitter(int64(top) + 1))
}

// retryAfter reads the header's two forms: seconds, or an HTTP date. A date
// counts from the server's own Date when the answer has one, so that a
// difference between the clocks does not matter. The wait is never negative
// and at most maxRetryAfter. ok is false for anything else.
func retryAfter(value, serverDate string, now time.Time) (wait time.Duration, ok bool) {
	value = strings.TrimSpace(value)
	if value == "" {
		return 0, false
	}
	whole, fraction, _ := strings.Cut(value, ".")
	if digits(whole) && whole != "" && digits(fraction) {
		seconds, err := strconv.ParseInt(whole, 10, 64)
		if err != nil || seconds >= math.MaxInt32 {
			return maxRetryAfter, true
		}
		if strings.Trim(fraction, "0") != "" {
			seconds++ // never too early
		}
		return min(time.Duration(seconds)*time.Second, maxRetryAfter), true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	if date, err := http.ParseTime(serverDate); err == nil {
		now = date
	}
	return min(max(0, at.Sub(now)), maxRetryAfter), true
}

func digits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
