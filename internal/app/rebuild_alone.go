package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pricelake/pricelake/internal/kafka"
	"github.com/pricelake/pricelake/schemas"
)

// rebuildGroup lets one rebuild run at a time: the owner of the one partition of
// roles.v1. Rebuilds of different tables exclude each other too: they share the
// epochs and the pause of the role lake.
const rebuildGroup = "pricelake.rebuild"

// aloneQuietly is how long a rebuild may wait for another before it says so.
// Brokers take some seconds to give a group its first member.
const aloneQuietly = 6 * time.Second

// errNotAlone ends a rebuild that another one may have taken the place of.
var errNotAlone = errors.New("the group of rebuilds gave up this process, perhaps because it did not answer for a while; another rebuild may have gone on with it: " +
	"run the command again")

// alone calls do while no other process does the same, and waits for that.
// waiting is called when it takes long. It is a lease: the context of do ends
// when it is lost.
func (a *App) alone(ctx context.Context, waiting func(), do func(context.Context) error) error {
	member, leave := context.WithCancel(ctx)
	defer leave()
	say := time.AfterFunc(aloneQuietly, waiting)
	defer say.Stop()
	var once sync.Once
	result := ctx.Err
	owner := kafka.Owner{Config: a.kafkaConfig("rebuild"), Group: rebuildGroup, Topic: schemas.TopicRoles}
	err := owner.Run(member, func(lease context.Context, _ int32) error {
		once.Do(func() {
			defer leave()
			say.Stop()
			err := do(lease)
			if err != nil && lease.Err() != nil && ctx.Err() == nil {
				err = fmt.Errorf("%w: %w", errNotAlone, err)
			}
			result = func() error { return err }
		})
		<-lease.Done()
		return nil
	})
	if err != nil {
		return err
	}
	return result()
}
