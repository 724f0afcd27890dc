package secured

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/pricelake/pricelake/internal/app"
	"github.com/pricelake/pricelake/internal/secure"
)

// probe tries one operation on one resource and returns the broker's error code
// for it. None of them changes anything, even where it is allowed.
type probe func(ctx context.Context, p *prober, name string) (int16, error)

// prober sends requests as one principal.
type prober struct {
	client *kgo.Client
	topics map[string][16]byte
}

func ask[R kmsg.Response](ctx context.Context, p *prober, req kmsg.Request) (R, error) {
	resp, err := p.client.Broker(1).Request(ctx, req)
	if err != nil {
		var none R
		return none, err
	}
	return resp.(R), nil
}

// probes are all operations that Apache Kafka knows for each kind of resource,
// but for TwoPhaseCommit, which takes a request that this client library lacks.
func probes() map[string]map[string]probe {
	return map[string]map[string]probe{
		"topic": {
			"Read": fetch, "Write": produce, "Create": createTopic, "Delete": deleteTopic, "Alter": createPartitions,
			"Describe": metadata, "DescribeConfigs": describeConfigs(kmsg.ConfigResourceTypeTopic), "AlterConfigs": alterConfigs(kmsg.ConfigResourceTypeTopic, "retention.ms"),
		},
		"group": {
			"Read": heartbeat, "Describe": describeGroup, "Delete": deleteGroup,
			"DescribeConfigs": describeConfigs(kmsg.ConfigResourceTypeGroupConfig), "AlterConfigs": alterConfigs(kmsg.ConfigResourceTypeGroupConfig, "consumer.session.timeout.ms"),
		},
		"transactional-id": {"Write": initProducer, "Describe": describeTransaction},
		"cluster": {
			"Create": createTopic, "Describe": listReassignments, "Alter": createACL, "ClusterAction": writeMarkers,
			"DescribeConfigs": describeConfigs(kmsg.ConfigResourceTypeBroker), "AlterConfigs": alterConfigs(kmsg.ConfigResourceTypeBroker, "message.max.bytes"),
			"IdempotentWrite": initProducer,
		},
	}
}

func fetch(ctx context.Context, p *prober, name string) (int16, error) {
	part := kmsg.NewFetchRequestTopicPartition()
	part.PartitionMaxBytes = 1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = name, p.topics[name], append(topic.Partitions, part)
	req := kmsg.NewPtrFetchRequest()
	req.MaxBytes, req.Topics = 1, append(req.Topics, topic)
	resp, err := ask[*kmsg.FetchResponse](ctx, p, req)
	if err != nil || resp.ErrorCode != 0 {
		return codeOf(resp, err)
	}
	return resp.Topics[0].Partitions[0].ErrorCode, nil
}

func codeOf(resp *kmsg.FetchResponse, err error) (int16, error) {
	if err != nil {
		return 0, err
	}
	return resp.ErrorCode, nil
}

// produce sends no record: that is an error, which comes after the question
// whether any could be sent.
func produce(ctx context.Context, p *prober, name string) (int16, error) {
	part := kmsg.NewProduceRequestTopicPartition()
	part.Records = []byte{}
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic, topic.TopicID, topic.Partitions = name, p.topics[name], append(topic.Partitions, part)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = -1, 1000, append(req.Topics, topic)
	resp, err := ask[*kmsg.ProduceResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.Topics[0].Partitions[0].ErrorCode, nil
}

func createTopic(ctx context.Context, p *prober, name string) (int16, error) {
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = name, 1, 1
	req := kmsg.NewPtrCreateTopicsRequest()
	req.ValidateOnly, req.Topics = true, append(req.Topics, topic)
	resp, err := ask[*kmsg.CreateTopicsResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.Topics[0].ErrorCode, nil
}

// deleteTopic would delete the topic, if anybody might: then the test has failed.
func deleteTopic(ctx context.Context, p *prober, name string) (int16, error) {
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames, req.Topics = []string{name}, append(req.Topics, topic)
	resp, err := ask[*kmsg.DeleteTopicsResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.Topics[0].ErrorCode, nil
}

func createPartitions(ctx context.Context, p *prober, name string) (int16, error) {
	topic := kmsg.NewCreatePartitionsRequestTopic()
	topic.Topic, topic.Count = name, 99
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.ValidateOnly, req.Topics = true, append(req.Topics, topic)
	resp, err := ask[*kmsg.CreatePartitionsResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.Topics[0].ErrorCode, nil
}

func metadata(ctx context.Context, p *prober, name string) (int16, error) {
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &name
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = append(req.Topics, topic)
	resp, err := ask[*kmsg.MetadataResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.Topics[0].ErrorCode, nil
}

func describeConfigs(kind kmsg.ConfigResourceType) probe {
	return func(ctx context.Context, p *prober, name string) (int16, error) {
		r := kmsg.NewDescribeConfigsRequestResource()
		r.ResourceType, r.ResourceName = kind, configName(kind, name)
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Resources = append(req.Resources, r)
		resp, err := ask[*kmsg.DescribeConfigsResponse](ctx, p, req)
		if err != nil {
			return 0, err
		}
		return resp.Resources[0].ErrorCode, nil
	}
}

func alterConfigs(kind kmsg.ConfigResourceType, key string) probe {
	return func(ctx context.Context, p *prober, name string) (int16, error) {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = key, kmsg.StringPtr("50000")
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName, r.Configs = kind, configName(kind, name), append(r.Configs, c)
		req := kmsg.NewPtrIncrementalAlterConfigsRequest()
		req.ValidateOnly, req.Resources = true, append(req.Resources, r)
		resp, err := ask[*kmsg.IncrementalAlterConfigsResponse](ctx, p, req)
		if err != nil {
			return 0, err
		}
		return resp.Resources[0].ErrorCode, nil
	}
}

// configName names the broker for the cluster.
func configName(kind kmsg.ConfigResourceType, name string) string {
	if kind == kmsg.ConfigResourceTypeBroker {
		return "1"
	}
	return name
}

func heartbeat(ctx context.Context, p *prober, name string) (int16, error) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID = name, "nobody"
	resp, err := ask[*kmsg.HeartbeatResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.ErrorCode, nil
}

func describeGroup(ctx context.Context, p *prober, name string) (int16, error) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups = []string{name}
	resp, err := ask[*kmsg.DescribeGroupsResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.Groups[0].ErrorCode, nil
}

func deleteGroup(ctx context.Context, p *prober, name string) (int16, error) {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = []string{name}
	resp, err := ask[*kmsg.DeleteGroupsResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.Groups[0].ErrorCode, nil
}

// initProducer asks for a transactional id, or for none in the cluster's case.
func initProducer(ctx context.Context, p *prober, name string) (int16, error) {
	req := kmsg.NewPtrInitProducerIDRequest()
	if name != clusterName {
		req.TransactionalID = &name
	}
	req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = 1000, -1, -1
	resp, err := ask[*kmsg.InitProducerIDResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.ErrorCode, nil
}

func describeTransaction(ctx context.Context, p *prober, name string) (int16, error) {
	req := kmsg.NewPtrDescribeTransactionsRequest()
	req.TransactionalIDs = []string{name}
	resp, err := ask[*kmsg.DescribeTransactionsResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.TransactionStates[0].ErrorCode, nil
}

func listReassignments(ctx context.Context, p *prober, _ string) (int16, error) {
	resp, err := ask[*kmsg.ListPartitionReassignmentsResponse](ctx, p, kmsg.NewPtrListPartitionReassignmentsRequest())
	if err != nil {
		return 0, err
	}
	return resp.ErrorCode, nil
}

// createACL asks for one that cannot be: without a principal.
func createACL(ctx context.Context, p *prober, _ string) (int16, error) {
	c := kmsg.NewCreateACLsRequestCreation()
	c.ResourceType, c.ResourceName, c.ResourcePatternType = kmsg.ACLResourceTypeTopic, elsewhere, kmsg.ACLResourcePatternTypeLiteral
	c.Principal, c.Host, c.Operation, c.PermissionType = "nobody", "*", kmsg.ACLOperationRead, kmsg.ACLPermissionTypeAllow
	req := kmsg.NewPtrCreateACLsRequest()
	req.Creations = append(req.Creations, c)
	resp, err := ask[*kmsg.CreateACLsResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.Results[0].ErrorCode, nil
}

func writeMarkers(ctx context.Context, p *prober, _ string) (int16, error) {
	topic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
	topic.Topic, topic.Partitions = elsewhere, []int32{0}
	m := kmsg.NewWriteTxnMarkersRequestMarker()
	m.ProducerID, m.ProducerEpoch, m.Topics = 1<<40, 0, append(m.Topics, topic)
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Markers = append(req.Markers, m)
	resp, err := ask[*kmsg.WriteTxnMarkersResponse](ctx, p, req)
	if err != nil {
		return 0, err
	}
	return resp.Markers[0].Topics[0].Partitions[0].ErrorCode, nil
}

const clusterName = "kafka-cluster"

// resources are everything that is tried: what the declaration names, ours and
// not ours, and for prefixes a name that begins so.
func resources(acls []app.ACL) map[string][]string {
	all := map[string][]string{
		"topic": append(app.TopicNames(), elsewhere), "group": {elsewhere}, "cluster": {clusterName},
		"transactional-id": {elsewhere, "pricelake-", "pricelake-lake-probe"},
	}
	for _, a := range acls {
		name := a.Name
		if a.Prefixed {
			name += "probe-0"
		}
		if !slices.Contains(all[a.Resource], name) {
			all[a.Resource] = append(all[a.Resource], name)
		}
	}
	return all
}

// implied are the operations that Apache Kafka derives from one that is allowed.
func implied(operation string) []string {
	switch operation {
	case "Read", "Write", "Delete", "Alter":
		return []string{operation, "Describe"}
	case "AlterConfigs":
		return []string{operation, "DescribeConfigs"}
	}
	return []string{operation}
}

// documented is what the ACLs of a principal allow among the resources.
func documented(acls []app.ACL, principal string, all map[string][]string) map[string]bool {
	allowed := map[string]bool{}
	for _, a := range acls {
		if a.Principal != "User:"+principal {
			continue
		}
		if a.Resource == "topic" && a.Operation == "Write" {
			// Who may write to any topic may be an idempotent producer.
			allowed[cell("cluster", clusterName, "IdempotentWrite")] = true
		}
		for _, name := range all[a.Resource] {
			if name == a.Name || a.Prefixed && strings.HasPrefix(name, a.Name) {
				for _, operation := range implied(a.Operation) {
					allowed[cell(a.Resource, name, operation)] = true
				}
			}
		}
	}
	return allowed
}

func cell(resource, name, operation string) string {
	return operation + " on " + resource + " " + name
}

// refusal says whether a code is the authorizer's.
func refusal(code int16) bool {
	err := kerr.ErrorForCode(code)
	for _, refused := range []error{kerr.TopicAuthorizationFailed, kerr.GroupAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed, kerr.ClusterAuthorizationFailed} {
		if errors.Is(err, refused) {
			return true
		}
	}
	return false
}

// matrix has every principal try every operation on every resource: what the
// broker allows is what `pricelake acl` prints, and nothing else.
func (r *rig) matrix(t *testing.T, acls []app.ACL) {
	all := resources(acls)
	details, err := r.admin.ListTopics(t.Context())
	must(t, err)
	ids := map[string][16]byte{}
	for _, d := range details {
		ids[d.Topic] = d.ID
	}
	tried, allowed := 0, 0
	for _, principal := range append(slices.Clone(r.names), stranger) {
		p := r.prober(t, principal, ids)
		want := documented(acls, principal, all)
		for _, resource := range slices.Sorted(maps.Keys(all)) {
			for _, name := range all[resource] {
				for operation, try := range probes()[resource] {
					if resource == "cluster" && operation == "Create" {
						name = "a-topic-that-is-not-there"
					}
					code, err := try(t.Context(), p, name)
					if err != nil {
						t.Fatalf("%s: %s on %s %s: %v", principal, operation, resource, name, err)
					}
					tried++
					if resource == "cluster" {
						name = clusterName
					}
					is, must := !refusal(code), want[cell(resource, name, operation)]
					if is {
						allowed++
					}
					if is != must {
						t.Errorf("%s: %s on %s %s: allowed %v, documented %v (%v)", principal, operation, resource, name, is, must, kerr.ErrorForCode(code))
					}
				}
			}
		}
		r.sayBrokers(t, p, principal, all, want)
	}
	t.Logf("%d principals, %d tries: %d allowed, each of them documented", len(r.names)+1, tried, allowed)
}

func (r *rig) prober(t *testing.T, principal string, ids map[string][16]byte) *prober {
	dialer := secure.NewDialer(secure.TLS{Enabled: true, CAFile: r.ca.File}, "kafka.tls", 10*time.Second)
	client, err := kgo.NewClient(kgo.SeedBrokers(r.kafka.ListenerAddr(login)), kgo.Dialer(dialer.DialContext),
		kgo.SASL(scram.Auth{User: principal, Pass: password(principal)}.AsSha512Mechanism()))
	must(t, err)
	t.Cleanup(client.Close)
	must(t, client.Ping(t.Context()))
	return &prober{client, ids}
}

// sayBrokers compares with the sets of operations that the broker itself gives
// for what the principal can describe.
func (r *rig) sayBrokers(t *testing.T, p *prober, principal string, all map[string][]string, want map[string]bool) {
	check := func(resource, name string, bits int32) {
		t.Helper()
		for operation, bit := range map[string]kmsg.ACLOperation{"Read": kmsg.ACLOperationRead, "Write": kmsg.ACLOperationWrite, "Create": kmsg.ACLOperationCreate,
			"Delete": kmsg.ACLOperationDelete, "Alter": kmsg.ACLOperationAlter, "Describe": kmsg.ACLOperationDescribe, "ClusterAction": kmsg.ACLOperationClusterAction,
			"DescribeConfigs": kmsg.ACLOperationDescribeConfigs, "AlterConfigs": kmsg.ACLOperationAlterConfigs} {
			if is := bits&(1<<bit) != 0; bits > 0 && is != want[cell(resource, name, operation)] {
				t.Errorf("%s: the broker says that %s is %v", principal, cell(resource, name, operation), is)
			}
		}
	}
	req := kmsg.NewPtrMetadataRequest()
	req.IncludeTopicAuthorizedOperations = true
	resp, err := ask[*kmsg.MetadataResponse](t.Context(), p, req) // all that it may see
	must(t, err)
	seen := 0
	for _, topic := range resp.Topics {
		check("topic", *topic.Topic, topic.AuthorizedOperations)
		seen++
	}
	visible := 0
	for _, name := range all["topic"] {
		if want[cell("topic", name, "Describe")] {
			visible++
		}
	}
	if seen != visible {
		t.Errorf("%s sees %d topics, documented %d", principal, seen, visible)
	}
	cluster := kmsg.NewPtrDescribeClusterRequest()
	cluster.IncludeClusterAuthorizedOperations = true
	described, err := ask[*kmsg.DescribeClusterResponse](t.Context(), p, cluster)
	must(t, err)
	check("cluster", clusterName, described.ClusterAuthorizedOperations)
	groups := kmsg.NewPtrDescribeGroupsRequest()
	groups.Groups, groups.IncludeAuthorizedOperations = all["group"], true
	told, err := ask[*kmsg.DescribeGroupsResponse](t.Context(), p, groups)
	must(t, err)
	for _, g := range told.Groups {
		check("group", g.Group, g.AuthorizedOperations)
	}
}
