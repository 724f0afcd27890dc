package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ChangeKind says what ApplyTopics did, or refused to do.
type ChangeKind string

// The kinds of change.
const (
	ChangeCreated ChangeKind = "created"
	ChangeAltered ChangeKind = "altered"
	// ChangeRefused: the number of partitions differs. Changing it in place
	// would send old keys to new partitions and break order per key.
	ChangeRefused ChangeKind = "refused"
)

// TopicChange is one difference between what a topic was and what it must be.
type TopicChange struct {
	Topic  string     `json:"topic"`
	Kind   ChangeKind `json:"change"`
	Config string     `json:"setting,omitempty"` // the one altered, "partitions" when refused
	From   string     `json:"from,omitempty"`
	To     string     `json:"to,omitempty"`
}

// ErrPartitionCount means that a topic has another number of partitions than
// asked for.
var ErrPartitionCount = errors.New("the number of partitions of a keyed topic is never changed in place: make a new topic and move over, or set kafka.partitions to what it has")

// ApplyTopics makes the topics be as described: it creates what is missing and
// alters settings that differ. Doing it again changes nothing. It returns what
// it changed, also with an error, after every topic is ready to be used.
func ApplyTopics(ctx context.Context, c Config, topics []Topic) ([]TopicChange, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(commonOptions(c)...)
	if err != nil {
		return nil, fmt.Errorf("making an admin client: %w", err)
	}
	defer client.Close()
	a := applier{admin: kadm.NewClient(client)}
	if err := a.apply(ctx, topics); err != nil {
		return a.changes, err
	}
	return a.changes, a.awaitReady(ctx, topics)
}

type applier struct {
	admin   *kadm.Client
	changes []TopicChange
	altered []Topic
}

func (a *applier) apply(ctx context.Context, topics []Topic) error {
	existing, err := a.admin.ListTopics(ctx, names(topics)...)
	if err != nil {
		return fmt.Errorf("listing topics: %w", known(err))
	}
	var errs []error
	for _, t := range topics {
		detail, ok := existing[t.Name]
		switch {
		case !ok || errors.Is(detail.Err, kerr.UnknownTopicOrPartition):
			errs = append(errs, a.create(ctx, t))
		case detail.Err != nil:
			errs = append(errs, fmt.Errorf("describing topic %q: %w", t.Name, known(detail.Err)))
		default:
			errs = append(errs, a.compare(t, len(detail.Partitions)), a.alter(ctx, t))
		}
	}
	return errors.Join(errs...)
}

func (a *applier) create(ctx context.Context, t Topic) error {
	config := make(map[string]*string, len(t.Config))
	for k, v := range t.Config {
		config[k] = &v
	}
	_, err := a.admin.CreateTopic(ctx, t.Partitions, t.ReplicationFactor, config, t.Name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return nil // another process was faster; awaitReady sees to the rest
	}
	if err != nil {
		return fmt.Errorf("creating topic %q: %w", t.Name, known(err))
	}
	a.changes = append(a.changes, TopicChange{Topic: t.Name, Kind: ChangeCreated})
	return nil
}

func (a *applier) compare(t Topic, partitions int) error {
	if int32(partitions) == t.Partitions {
		return nil
	}
	a.changes = append(a.changes, TopicChange{
		Topic: t.Name, Kind: ChangeRefused, Config: "partitions",
		From: fmt.Sprint(partitions), To: fmt.Sprint(t.Partitions),
	})
	return fmt.Errorf("topic %q has %d partitions, not %d: %w", t.Name, partitions, t.Partitions, ErrPartitionCount)
}

func (a *applier) alter(ctx context.Context, t Topic) error {
	changes, err := a.differences(ctx, t)
	if err != nil || len(changes) == 0 {
		return err
	}
	var alter []kadm.AlterConfig
	for _, c := range changes {
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: c.Config, Value: &c.To})
	}
	altered, err := a.admin.AlterTopicConfigs(ctx, alter, t.Name)
	if err == nil {
		_, err = altered.On(t.Name, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		return fmt.Errorf("altering topic %q: %w", t.Name, known(err))
	}
	a.changes = append(a.changes, changes...)
	a.altered = append(a.altered, t)
	return nil
}

// differences returns the settings that are not as described, by name.
func (a *applier) differences(ctx context.Context, t Topic) ([]TopicChange, error) {
	described, err := a.admin.DescribeTopicConfigs(ctx, t.Name)
	if err != nil {
		return nil, fmt.Errorf("reading the settings of topic %q: %w", t.Name, known(err))
	}
	is, err := described.On(t.Name, nil)
	if err = errors.Join(err, is.Err); err != nil {
		return nil, fmt.Errorf("reading the settings of topic %q: %w", t.Name, known(err))
	}
	current := make(map[string]string, len(is.Configs))
	for _, c := range is.Configs {
		current[c.Key] = c.MaybeValue()
	}
	var changes []TopicChange
	for _, key := range slices.Sorted(maps.Keys(t.Config)) {
		if is, must := current[key], t.Config[key]; is != must {
			changes = append(changes, TopicChange{Topic: t.Name, Kind: ChangeAltered, Config: key, From: is, To: must})
		}
	}
	return changes, nil
}

// awaitReady returns when the brokers know every topic with a leader for each
// partition and every altered setting: answers run ahead of what all brokers
// have heard, and producing before that fails.
func (a *applier) awaitReady(ctx context.Context, topics []Topic) error {
	for fails := 1; ; fails++ {
		missing, err := a.missing(ctx, topics)
		if err != nil || missing == "" {
			return err
		}
		if !pause(ctx, backoff(fails, 10*time.Millisecond, time.Second)) {
			return fmt.Errorf("waiting for topic %q to be ready: %w", missing, ctx.Err())
		}
	}
}

func (a *applier) missing(ctx context.Context, topics []Topic) (string, error) {
	existing, err := a.admin.ListTopics(ctx, names(topics)...)
	if err != nil {
		return "", fmt.Errorf("listing topics: %w", known(err))
	}
	for _, t := range topics {
		detail, ok := existing[t.Name]
		if !ok || detail.Err != nil || len(detail.Partitions) == 0 {
			return t.Name, nil
		}
		for _, p := range detail.Partitions {
			if p.Leader < 0 {
				return t.Name, nil
			}
		}
	}
	for _, t := range a.altered {
		if left, err := a.differences(ctx, t); err != nil || len(left) > 0 {
			return t.Name, err
		}
	}
	return "", nil
}

func names(topics []Topic) []string {
	out := make([]string, len(topics))
	for i, t := range topics {
		out[i] = t.Name
	}
	return out
}
