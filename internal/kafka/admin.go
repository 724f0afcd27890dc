package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pricelake/pricelake/internal/stream"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Admin answers the questions of the tools. It may be used in parallel.
type Admin struct {
	client *kgo.Client
	admin  *kadm.Client
}

// NewAdmin returns an Admin; it connects at the first question. Close it.
func NewAdmin(c Config) (*Admin, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(commonOptions(c)...)
	if err != nil {
		return nil, fmt.Errorf("making an admin client: %w", err)
	}
	return &Admin{client: client, admin: kadm.NewClient(client)}, nil
}

// Close disconnects.
func (a *Admin) Close() { a.client.Close() }

// Broker is one broker of the cluster.
type Broker struct {
	ID      int32
	Address string
	Version string // guessed from the requests it speaks, "v4.3" say
}

// Brokers returns the brokers by id. It is also how to ask whether the cluster
// can be reached at all.
func (a *Admin) Brokers(ctx context.Context) ([]Broker, error) {
	details, err := a.admin.ListBrokers(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing brokers: %w", known(err))
	}
	versions, err := a.admin.ApiVersions(ctx)
	if err != nil {
		return nil, fmt.Errorf("asking brokers for their versions: %w", known(err))
	}
	brokers := make([]Broker, 0, len(details))
	for _, d := range details {
		b := Broker{ID: d.NodeID, Address: fmt.Sprintf("%s:%d", d.Host, d.Port)}
		if v, ok := versions[d.NodeID]; ok && v.Err == nil {
			b.Version = v.VersionGuess()
		}
		brokers = append(brokers, b)
	}
	slices.SortFunc(brokers, func(x, y Broker) int { return cmp.Compare(x.ID, y.ID) })
	return brokers, nil
}

// ForgetGroup deletes a group that has no members, with its offsets: it begins
// anew. One that does not exist is as good as forgotten.
func (a *Admin) ForgetGroup(ctx context.Context, group string) error {
	err := patiently(ctx, func() error {
		_, err := a.admin.DeleteGroup(ctx, group)
		return err
	})
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return fmt.Errorf("deleting the group %q: %w", group, known(err))
	}
	return nil
}

// TopicInfo is a topic as it is.
type TopicInfo struct {
	Name              string
	ID                stream.TopicID
	Partitions        int32
	ReplicationFactor int
}

// ListTopics returns all topics that are not internal to the brokers, by name.
func (a *Admin) ListTopics(ctx context.Context) ([]TopicInfo, error) {
	details, err := a.admin.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", known(err))
	}
	topics := make([]TopicInfo, 0, len(details))
	for _, d := range details.Sorted() {
		if d.Err != nil {
			continue
		}
		topics = append(topics, TopicInfo{
			Name: d.Topic, ID: stream.TopicID(d.ID),
			Partitions: int32(len(d.Partitions)), ReplicationFactor: d.Partitions.NumReplicas(),
		})
	}
	return topics, nil
}

// Position is how far a group is in one partition.
type Position struct {
	stream.TopicPartition
	// Committed is the next offset the group would read, -1 without a commit.
	Committed int64
	Metadata  string
	// First is the first retained offset, End the high watermark, Stable the
	// last stable offset: what readers of committed records can see.
	First, Stable, End int64
	// Stopped says why a sink stands still at the partition; empty: it does not.
	Stopped string
}

// Lag is the number of offsets the group has not settled, markers included.
func (p Position) Lag() int64 { return max(0, p.End-max(p.Committed, p.First)) }

// Positions returns where the group is in every partition of the topics, by
// topic and partition. It works for groups that do not run or never did.
func (a *Admin) Positions(ctx context.Context, group string, topics ...string) ([]Position, error) {
	if len(topics) == 0 {
		return nil, nil
	}
	var committed kadm.OffsetResponses
	err := patiently(ctx, func() (err error) {
		committed, err = a.admin.FetchOffsetsForTopics(ctx, group, topics...)
		return err
	})
	if errors.Is(err, kerr.GroupIDNotFound) {
		committed, err = nil, nil // a group that never ran has committed nothing
	}
	if err != nil {
		return nil, fmt.Errorf("fetching offsets of group %q: %w", group, known(err))
	}
	bounds, err := listBounds(ctx, a.admin, topics...)
	if err != nil {
		return nil, err
	}
	positions := make([]Position, 0, len(bounds))
	for tp, b := range bounds {
		p := Position{TopicPartition: tp, Committed: -1, First: b.first, Stable: b.stable, End: b.end}
		if o, ok := committed.Lookup(tp.Topic, tp.Partition); ok {
			if o.Err != nil {
				return nil, fmt.Errorf("fetching offset of group %q in %s/%d: %w", group, tp.Topic, tp.Partition, known(o.Err))
			}
			p.Committed, p.Metadata = o.At, o.Metadata
			if n, ok := parseNote(o.Metadata); ok {
				p.Stopped = n.stopped
			}
		}
		positions = append(positions, p)
	}
	slices.SortFunc(positions, func(x, y Position) int {
		return cmp.Or(cmp.Compare(x.Topic, y.Topic), cmp.Compare(x.Partition, y.Partition))
	})
	return positions, nil
}

// patiently asks again for a few seconds while brokers say that they are not
// ready: a cluster that was just started makes its coordinators at first use.
func patiently(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for fails := 1; ; fails++ {
		err := ask()
		var code *kerr.Error
		if !errors.As(err, &code) || !code.Retriable || !pause(ctx, backoff(fails, 50*time.Millisecond, time.Second)) {
			return err
		}
	}
}

// Member is one member of a group.
type Member struct {
	ID, ClientID, Host string
	Partitions         []stream.TopicPartition
}

// Group is the state of a consumer group.
type Group struct {
	Name    string
	State   string // as brokers say: Stable, Empty, Dead, PreparingRebalance, …
	Members []Member
}

// Group describes a group; one that does not exist has the state Dead.
func (a *Admin) Group(ctx context.Context, name string) (Group, error) {
	var d kadm.DescribedGroup
	err := patiently(ctx, func() error {
		described, err := a.admin.DescribeGroups(ctx, name)
		if err != nil {
			return err
		}
		d, err = described.On(name, func(g *kadm.DescribedGroup) error { return g.Err })
		return err
	})
	if errors.Is(err, kerr.GroupIDNotFound) {
		return Group{Name: name, State: "Dead"}, nil
	}
	if err != nil {
		return Group{}, fmt.Errorf("describing group %q: %w", name, known(err))
	}
	g := Group{Name: name, State: d.State}
	for _, m := range d.Members {
		member := Member{ID: m.MemberID, ClientID: m.ClientID, Host: m.ClientHost}
		if assigned, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range assigned.Topics {
				for _, p := range t.Partitions {
					member.Partitions = append(member.Partitions, stream.TopicPartition{Topic: t.Topic, Partition: p})
				}
			}
		}
		g.Members = append(g.Members, member)
	}
	return g, nil
}

// ClusterID returns the id of the Kafka cluster: what tells the topics of two
// clusters apart in names that outlive a connection.
func ClusterID(ctx context.Context, c Config) (string, error) {
	a, err := NewAdmin(c)
	if err != nil {
		return "", err
	}
	defer a.Close()
	meta, err := a.admin.BrokerMetadata(ctx)
	if err != nil {
		return "", fmt.Errorf("asking for the cluster's id: %w", known(err))
	}
	return meta.Cluster, nil
}
