package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pricelake/pricelake/schemas"
)

// rights is what a role, or a class of tools, does at the brokers: the one place
// that says so. The ACLs are made of it, and a role waits for its topics.
type rights struct {
	reads, writes []string // topics
	joins         string   // the consumer group whose member it is
	elects        string   // the group that elects it for what one process does
	// transactional is its transactional id, or with a dash at the end what
	// those begin with.
	transactional string
	describes     []string // topics whose settings it reads
	looksAt       []string // groups whose members and positions it reads
	manages       []string // topics that it creates and whose settings it alters
	brokers       bool     // reads the settings of brokers
}

// topics are those it reads and writes.
func (r rights) topics() []string {
	all := slices.Concat(r.reads, r.writes)
	slices.Sort(all)
	return slices.Compact(all)
}

// tool is a class of tools that people give one account.
type tool struct {
	name, purpose string
	rights        rights
}

func tools() []tool {
	return []tool{
		{"setup", "`topics apply`, `catalog apply`", rights{
			manages: TopicNames(), reads: []string{schemas.TopicCalls, schemas.TopicInstruments}, writes: []string{schemas.TopicCalls, schemas.TopicInstruments},
			transactional: catalogTxn,
		}},
		{"reader", "`status`, `verify`, `doctor`, `tail`, `catalog ls`, `dlq ls|show`", rights{
			reads: TopicNames(), describes: TopicNames(), looksAt: watchedNames(), brokers: true,
		}},
		{"operator", "`dlq replay|drop`, `quarantine`, `pause`, `resume`, `rebuild`", rights{
			reads:         []string{schemas.TopicDeadLetters, schemas.TopicDeadLetterMarks, schemas.TopicRoles, schemas.TopicPrices, schemas.TopicRejected, schemas.TopicPolls, schemas.TopicResponses, schemas.TopicInstruments, schemas.TopicCalls},
			writes:        []string{schemas.TopicRequests, schemas.TopicResponses, schemas.TopicObserved, schemas.TopicDeadLetterMarks, schemas.TopicRoles, schemas.TopicPrices, schemas.TopicRejected, schemas.TopicPolls},
			joins:         lakeGroup, // whose offset `quarantine release` sets
			elects:        rebuildGroup,
			transactional: replayID,
		}},
	}
}

// ACL allows one operation on one resource, in the words of Kafka's tools.
type ACL struct {
	// Role is the role, or the class of tools, that needs it.
	Role      string `json:"role"`
	Principal string `json:"principal"`
	Operation string `json:"operation"` // Read, Write, Create, Describe, DescribeConfigs, AlterConfigs
	Resource  string `json:"resource"`  // topic, group, transactional-id, cluster
	Name      string `json:"name"`
	Prefixed  bool   `json:"prefixed"` // Name is how names begin
}

// ACLNames lists the roles and the classes of tools, and what the latter are
// for.
func ACLNames() (names []string, purposes map[string]string) {
	names = RoleNames()
	purposes = map[string]string{}
	for _, t := range tools() {
		names = append(names, t.name)
		purposes[t.name] = t.purpose
	}
	return names, purposes
}

// ACLs returns what the named roles and classes of tools need, all of them when
// none is named. A principal is the prefix and the name. Operations that Kafka
// derives from others, as Describe from Read, are left out.
func ACLs(prefix string, names ...string) ([]ACL, error) {
	known, _ := ACLNames()
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("no role or class of tools %q; there are %s", n, strings.Join(known, ", "))
		}
	}
	var all []ACL
	add := func(name string, r rights) {
		if len(names) == 0 || slices.Contains(names, name) {
			all = append(all, r.acls(ACL{Role: name, Principal: prefix + name})...)
		}
	}
	for _, r := range roles() {
		add(r.name, r.rights)
	}
	for _, t := range tools() {
		add(t.name, t.rights)
	}
	return all, nil
}

func (r rights) acls(a ACL) []ACL {
	var all []ACL
	allow := func(operation, resource string, names ...string) {
		for _, name := range names {
			a.Operation, a.Resource, a.Name = operation, resource, name
			all = append(all, a)
		}
	}
	allow("Read", "topic", r.reads...)
	allow("Write", "topic", r.writes...)
	allow("Create", "topic", r.manages...)
	allow("Describe", "topic", without(r.manages, r.topics())...)
	allow("AlterConfigs", "topic", r.manages...)
	allow("DescribeConfigs", "topic", r.describes...)
	if r.joins != "" {
		allow("Read", "group", r.joins)
	}
	if r.elects != "" {
		allow("Read", "group", r.elects)
	}
	allow("Describe", "group", r.looksAt...)
	if r.transactional != "" {
		a.Prefixed = strings.HasSuffix(r.transactional, "-")
		allow("Write", "transactional-id", r.transactional)
		a.Prefixed = false
	}
	if r.brokers {
		allow("DescribeConfigs", "cluster", "kafka-cluster")
	}
	return all
}

func without(all, some []string) []string {
	return slices.DeleteFunc(slices.Clone(all), func(s string) bool { return slices.Contains(some, s) })
}
