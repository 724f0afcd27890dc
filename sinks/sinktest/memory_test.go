package sinktest_test

import (
	"testing"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/sinks"
	"github.com/pricelake/pricelake/sinks/sinktest"
)

func TestMemory(t *testing.T) {
	sinktest.Run(t, func(*testing.T) *sinktest.Subject {
		m := sinktest.NewMemory()
		return &sinktest.Subject{
			Store: m, Topic: "t",
			Record: func(int64) stream.Record { return stream.Record{Value: []byte("good")} },
			Bad:    func(int64) stream.Record { return stream.Record{Value: []byte(sinktest.Unreadable)} },
			Rows:   func(_ *testing.T, p sinks.Partition) map[int64]int { return m.Rows(p) },
		}
	})
}
