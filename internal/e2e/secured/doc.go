// Package secured holds the tests of the product on servers that want to know who
// it is: Apache Kafka with its standard authorizer behind TLS and a login, a
// registry and a ClickHouse behind TLS. It has no code of its own.
package secured
