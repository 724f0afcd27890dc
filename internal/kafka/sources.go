package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pricelake/pricelake/internal/secure"
)

// LeastRetention is how long a topic of events must keep its records at least: as
// long as a sink may be away before somebody is there to mend it.
const LeastRetention = 24 * time.Hour

// SourceError says why a topic, or a broker, cannot be where a Range reads from,
// and what mends it.
type SourceError struct{ Subject, Setting, Is, Want string }

// Error implements error.
func (e *SourceError) Error() string {
	return fmt.Sprintf("%s: %s is %s; %s", e.Subject, e.Setting, e.Is, e.Want)
}

// CheckSources says whether records can be read exactly once from the topics: that
// nothing disappears from the middle of them, that they outlive an outage of the
// sink, and that brokers take what Range commits beside offsets. It returns a
// *SourceError for each that is not so, joined. What the account may not see is
// passed over: seen is false then.
func (a *Admin) CheckSources(ctx context.Context, c Config, topics ...string) (seen bool, err error) {
	described, err := a.admin.DescribeTopicConfigs(ctx, topics...)
	if err = known(err); err != nil && !errors.Is(err, secure.ErrForbidden) {
		return false, fmt.Errorf("reading the settings of topics: %w", err)
	}
	seen = err == nil
	var errs []error
	for _, d := range described {
		if err := known(d.Err); errors.Is(err, secure.ErrForbidden) {
			seen = false
			continue
		} else if err != nil {
			return false, fmt.Errorf("reading the settings of topic %q: %w", d.Name, err)
		}
		settings := map[string]string{}
		for _, s := range d.Configs {
			settings[s.Key] = s.MaybeValue()
		}
		errs = append(errs, source(d.Name, settings)...)
	}
	wrong, err := a.CheckBrokers(ctx, c)
	if err != nil && !errors.Is(err, secure.ErrForbidden) {
		return false, err
	}
	for _, w := range wrong {
		if w.Name == metadataBytes {
			errs = append(errs, &SourceError{fmt.Sprintf("broker %d", w.Broker), w.Name, w.Is, "make it " + w.Want})
		}
	}
	return seen && err == nil, errors.Join(errs...)
}

// source judges the settings of a topic that is read as a log of events.
func source(topic string, settings map[string]string) (errs []error) {
	if policy := settings["cleanup.policy"]; strings.Contains(policy, "compact") {
		errs = append(errs, &SourceError{"topic " + topic, "cleanup.policy", policy,
			"records disappear before they are loaded, or between two readings of one range: run `pricelake topics apply`, or set it to delete"})
	}
	if is := settings["retention.ms"]; TooShort(is) {
		errs = append(errs, &SourceError{"topic " + topic, "retention.ms", is,
			fmt.Sprintf("what is not loaded within it is lost, and an outage of the lake may take a day: run `pricelake topics apply`, or set it to %d or more", LeastRetention.Milliseconds())})
	}
	return errs
}

// TooShort says whether a retention.ms is below LeastRetention. -1 is for ever.
func TooShort(retention string) bool {
	ms, err := strconv.ParseInt(retention, 10, 64)
	return err == nil && ms >= 0 && ms < LeastRetention.Milliseconds()
}
