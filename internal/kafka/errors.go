package kafka

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	// ErrTooLarge means that a record is above the limit of its topic
	// (MaxRecordBytes). Publishing it again cannot succeed.
	ErrTooLarge = errors.New("record is above the size limit of its topic")
	// ErrFenced means that a later holder of the same transactional id has
	// taken over. The holder that gets it must stop.
	ErrFenced = errors.New("a later holder of the transactional id has taken over")
	// ErrUnknownTopic means that a topic does not exist.
	ErrUnknownTopic = errors.New("topic does not exist: run `pricelake topics apply`")

	// errGone means that the partition is no longer this assignment's: what
	// was done for it must not be committed (I1, I6).
	errGone = errors.New("the assignment of the partition has ended")
)

// known wraps the errors of this package around those of the client library.
func known(err error) error {
	if err == nil {
		return nil
	}
	if explained := refused(err); explained != nil {
		return explained
	}
	switch {
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		return errors.Join(ErrTooLarge, err)
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch):
		return errors.Join(ErrFenced, err)
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return errors.Join(ErrUnknownTopic, err)
	}
	return err
}

// ended tells the end of the client or of the context from a failure.
func ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, kgo.ErrClientClosed)
}
