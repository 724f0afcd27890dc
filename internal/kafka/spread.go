package kafka

import (
	"fmt"
	"maps"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// spreadBalancer is the client's sticky assignment, run for each topic of apart by
// itself and for all others together. Sticky assignment gives each member as
// many partitions as any other, of whatever topics: all of one topic can lie with
// a few. Only who leads the group balances, so members that lack this agree with
// those that have it.
type spreadBalancer struct {
	kgo.GroupBalancer
	apart []string
}

func (b spreadBalancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	balancer, topics, err := b.GroupBalancer.MemberBalancer(members)
	if err != nil || len(b.apart) == 0 {
		return balancer, topics, err
	}
	sticky, ok := balancer.(kgo.GroupMemberBalancerOrError)
	if !ok {
		return nil, nil, fmt.Errorf("the sticky assignment is a %T: it cannot be split by topic", balancer)
	}
	return spread{sticky, b.apart}, topics, nil
}

type spread struct {
	kgo.GroupMemberBalancerOrError
	apart []string
}

// BalanceOrError joins the plans of each topic apart and of the others.
func (s spread) BalanceOrError(topics map[string]int32) (kgo.IntoSyncAssignment, error) {
	rest := maps.Clone(topics)
	for _, topic := range s.apart {
		delete(rest, topic)
	}
	whole, err := s.plan(rest)
	if err != nil {
		return nil, err
	}
	members := whole.AsMemberIDMap()
	for _, topic := range s.apart {
		partitions, known := topics[topic]
		if !known {
			continue
		}
		part, err := s.plan(map[string]int32{topic: partitions})
		if err != nil {
			return nil, err
		}
		for member, assigned := range part.AsMemberIDMap() {
			if members[member] == nil {
				members[member] = make(map[string][]int32)
			}
			maps.Copy(members[member], assigned)
		}
	}
	return whole, nil
}

func (s spread) plan(topics map[string]int32) (*kgo.BalancePlan, error) {
	into, err := s.GroupMemberBalancerOrError.BalanceOrError(topics)
	if err != nil {
		return nil, err
	}
	plan, ok := into.(*kgo.BalancePlan)
	if !ok {
		return nil, fmt.Errorf("the sticky assignment made a %T: it cannot be joined with others", into)
	}
	return plan, nil
}
