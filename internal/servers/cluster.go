package servers

import (
	"errors"
	"maps"
	"strconv"
	"sync"
	"testing"

	"github.com/pricelake/pricelake/internal/freeport"
)

// KafkaCluster is Apache Kafka as people run it: several nodes, each broker and
// controller in a process of its own. Its own topics and those made without a
// replication factor are on up to three brokers, of which two must have a record.
type KafkaCluster struct {
	// Nodes can be stopped, killed and started one by one. A majority of them
	// must run for any to answer.
	Nodes []*Kafka
}

// StartKafkaCluster starts that many nodes and returns when all take connections.
func StartKafkaCluster(t testing.TB, nodes int, cfg KafkaConfig) *KafkaCluster {
	t.Helper()
	controllers := make([]int, nodes)
	for i := range controllers {
		port, err := freeport.Find()
		need(t, err)
		controllers[i] = port
	}
	replicas := min(nodes, 3)
	factor, least := strconv.Itoa(replicas), strconv.Itoa(max(1, replicas-1))
	properties := map[string]string{
		"default.replication.factor":                       factor,
		"min.insync.replicas":                              least,
		"offsets.topic.replication.factor":                 factor,
		"transaction.state.log.replication.factor":         factor,
		"transaction.state.log.min.isr":                    least,
		"share.coordinator.state.topic.replication.factor": factor,
		"share.coordinator.state.topic.min.isr":            least,
	}
	maps.Copy(properties, cfg.Properties)
	cfg.Properties = properties
	c := &KafkaCluster{}
	for i := range controllers {
		c.Nodes = append(c.Nodes, newKafka(t, cfg, i+1, controllers))
	}
	// A node is not ready before it has a quorum: they start together.
	errs := make([]error, nodes)
	var starts sync.WaitGroup
	for i, k := range c.Nodes {
		starts.Go(func() { errs[i] = k.start() })
	}
	starts.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return c
}

// Addrs are the host:port of the listeners PLAINTEXT of all nodes.
func (c *KafkaCluster) Addrs() []string {
	addrs := make([]string, len(c.Nodes))
	for i, k := range c.Nodes {
		addrs[i] = k.Addr()
	}
	return addrs
}
