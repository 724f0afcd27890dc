package servers_test

import (
	"testing"

	"go.uber.org/goleak"
)

// A server's end is waited for: what started it, and watches it, ends with it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
