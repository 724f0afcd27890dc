// Package servers gives tests real servers, each a process of its own: Apache
// Kafka, Apicurio Registry and the ClickHouse engine, on loopback, on ports
// nobody else uses, with their data in the test's temporary directory.
//
//	kafka := servers.StartKafka(t, servers.KafkaConfig{})
//	cluster := servers.StartKafkaCluster(t, 3, servers.KafkaConfig{})
//	registry := servers.StartRegistry(t, servers.RegistryConfig{})
//	clickhouse := servers.StartClickHouse(t, servers.ClickHouseConfig{})
//
// Each ends with its test, and with this process whatever happens to it. What
// it said is in Log, and shown when the test fails. A server can be killed,
// stopped and started again on the same ports with the same data.
//
// `.ci/services fetch` installs what is started here; without it the test is
// skipped and says so, or fails where CI=true.
package servers
