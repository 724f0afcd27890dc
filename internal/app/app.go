// Package app wires the parts into roles and tools: codecs, logs and publishers
// go into the stages as values here and nowhere else. One file a role.
package app

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pricelake/pricelake/internal/config"
	"github.com/pricelake/pricelake/internal/failpoint"
	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/internal/ops"
	"github.com/pricelake/pricelake/internal/secure"
	"github.com/pricelake/pricelake/internal/stream"
	"github.com/pricelake/pricelake/schemas/avro"
	"github.com/pricelake/pricelake/sinks/lake"
)

// Settings is what a process was told: the configuration, and the accounts of a
// running `up`, which no configuration names.
type Settings struct {
	Config config.Config
	// ClickHousePassword is that of the main account where the configuration
	// refers to none.
	ClickHousePassword string
	// ReaderUser and ReaderPassword are an account of the lake that can only
	// read, where the configuration names none.
	ReaderUser, ReaderPassword string
	// Embedded: the servers are those of an `up`.
	Embedded bool
	// Getenv resolves secrets, those that calls of the catalog refer to too.
	Getenv func(string) string
	// Failpoints are where the kill test ends this process; nil: nowhere.
	Failpoints *failpoint.Set
	// NoIntents: the lake records none. What they cost is measured with it.
	NoIntents bool
}

// App is one process of pricelake: its settings and the clients its roles and
// tools share. Its methods may be used in parallel.
type App struct {
	settings Settings
	log      *slog.Logger // says what repeats a few times only
	sampler  *ops.Sampler // behind log
	metrics  *prometheus.Registry
	health   *ops.Health
	registry *avro.Client
	dialer   *secure.Dialer // of the brokers
	profile  kafka.Profile
	waits    waits
	switches *switches

	mu   sync.Mutex
	lake *lake.Lake
	klog *kafka.Log
}

// New prepares a process. It connects to nothing.
func New(s Settings, log *slog.Logger, metrics *prometheus.Registry) (*App, error) {
	registry, err := s.registry()
	if err != nil {
		return nil, err
	}
	profile := kafka.Production()
	profile.Partitions = int32(s.Config.Kafka.Partitions)
	profile.LowRatePartitions = int32(s.Config.Kafka.Partitions)
	profile.ReplicationFactor = int16(s.Config.Kafka.ReplicationFactor)
	sampler := ops.NewSampler(metrics)
	a := &App{
		settings: s,
		log:      slog.New(sampler.Handler(log.Handler())),
		sampler:  sampler,
		metrics:  metrics,
		health:   ops.NewHealth(),
		registry: registry,
		dialer:   s.kafkaDialer(),
		profile:  profile,
	}
	a.switches = newSwitches(a)
	return a, nil
}

// Close releases the clients. Call it after Run and the tools have returned.
func (a *App) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lake != nil {
		if err := a.lake.Close(); err != nil {
			a.log.Warn("closing the lake", "err", err)
		}
		a.lake = nil
	}
	if a.klog != nil {
		a.klog.Close()
		a.klog = nil
	}
	a.sampler.Flush()
}

// kafkaLog returns the process' reader of whole topics, made at first use.
func (a *App) kafkaLog() (*kafka.Log, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.klog == nil {
		l, err := kafka.NewLog(a.kafkaConfig("log"))
		if err != nil {
			return nil, err
		}
		a.klog = l
	}
	return a.klog, nil
}

// streamLog is kafkaLog for those who need no more than a stream.Log.
func (a *App) streamLog() (stream.Log, error) { return a.kafkaLog() }

// openLake returns the process' connection to the lake, made at first use.
func (a *App) openLake() (*lake.Lake, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lake == nil {
		l, err := lake.Open(a.lakeConfig(mainAccount))
		if err != nil {
			return nil, err
		}
		a.lake = l
	}
	return a.lake, nil
}

// TopicNames lists every topic, for completion.
func TopicNames() []string {
	topics := kafka.Topics(kafka.Embedded())
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.Name
	}
	return names
}

// topicExists is the check behind a topic that a user names.
func topicExists(topic string) error {
	if !slices.Contains(TopicNames(), topic) {
		return fmt.Errorf("no topic %q; the topics are %s", topic, strings.Join(TopicNames(), ", "))
	}
	return nil
}
