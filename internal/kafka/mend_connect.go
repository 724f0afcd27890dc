package kafka

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

// connector makes the connections of a client that has a transactional id. Once
// it is armed, none is used before the last transaction is known to be whole: a
// connection that is new may be to a broker that has just been started, and the
// client, which cannot tell, would go on writing into a transaction that hangs.
type connector struct {
	mender *mender
	armed  atomic.Bool
	// hangs is told what hangs, at most once for each connection.
	hangs func(error)
}

func (c *connector) option() kgo.Opt {
	dial := c.mender.cfg.dialer()
	return kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial.DialContext(ctx, network, addr)
		if err != nil || !c.armed.Load() {
			return conn, err
		}
		asking, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		// After the connection is made: were it the other way round, a broker
		// could be restarted in between.
		if err := c.mender.whole(asking); err != nil {
			_ = conn.Close()
			if errors.Is(err, errHanging) {
				c.hangs(err)
			}
			return nil, err
		}
		return conn, nil
	})
}
