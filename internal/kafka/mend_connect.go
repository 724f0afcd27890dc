package kafka

import (
	"context"
	"errors"
	"net"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
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

// leave takes a member out of the group whose client cannot do so itself. When
// it fails, the group waits for the end of the member's session.
func (m *mender) leave(ctx context.Context, member string) {
	if member == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	one := kmsg.NewLeaveGroupRequestMember()
	one.MemberID = member
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID, req.Members = m.group, member, append(req.Members, one)
	err := m.retry(ctx, "leaving the group of", m.id, func() error {
		resp, err := req.RequestWith(ctx, m.client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(resp.ErrorCode)
	})
	if err != nil {
		m.log.Warn("could not leave the consumer group; it goes on once the session has timed out", "err", err)
	}
}
