package embed

import (
	"log/slog"
	"time"
)

// BrokerConfig says where and how the embedded broker runs.
type BrokerConfig struct {
	// DataDir is the locked data directory; the broker keeps its log in the
	// folder "kafka" inside.
	DataDir string
	// Addresses chooses the port.
	Addresses *Addresses
	// Addr is a loopback host:port to use; empty lets Addresses choose.
	Addr string
	// Logger gets the broker's warnings. Required.
	Logger *slog.Logger
	// SyncWrites makes every batch durable against power loss before it is
	// acknowledged, at a tenth of the throughput. Without it an acknowledged
	// batch outlives the end of the process but not that of the machine.
	SyncWrites bool
	// MinFree is the free space in bytes below which the broker reports
	// itself not ready; below a quarter of it Run ends. It acknowledges offset
	// commits that it could not write. Zero means 256 MiB.
	MinFree uint64
	// Headroom tells the free space of a directory in bytes. Nil means the
	// function of that name.
	Headroom func(dir string) (uint64, error)
	// HeadroomInterval is the time between two looks at the free space. Zero
	// means two seconds.
	HeadroomInterval time.Duration
	// RetentionInterval is the time between two applications of the topics'
	// retention. Zero means one minute.
	RetentionInterval time.Duration
}

const (
	defaultMinFree           = 256 << 20
	defaultRetentionInterval = time.Minute
	defaultHeadroomInterval  = 2 * time.Second
	// stopFraction of MinFree is where the broker stops while it still can.
	stopFraction = 4
	kafkaPort    = 9092
)

func (c *BrokerConfig) setDefaults() {
	if c.MinFree == 0 {
		c.MinFree = defaultMinFree
	}
	if c.Headroom == nil {
		c.Headroom = Headroom
	}
	if c.HeadroomInterval == 0 {
		c.HeadroomInterval = defaultHeadroomInterval
	}
	if c.RetentionInterval == 0 {
		c.RetentionInterval = defaultRetentionInterval
	}
}
