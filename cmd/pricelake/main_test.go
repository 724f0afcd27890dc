package main

import (
	"testing"

	"go.uber.org/goleak"
)

// A command that has ended leaves nothing running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
