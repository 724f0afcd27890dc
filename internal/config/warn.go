package config

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// Warnings are things that work and should not be: passwords that anybody on
// the way can read.
func (c *Config) Warnings() []string {
	var all []string
	if c.Kafka.SASL.Mechanism != "" && !c.Kafka.TLS.Enabled && !loopback(c.Kafka.Brokers...) {
		how := "sends the password readable"
		if strings.HasPrefix(c.Kafka.SASL.Mechanism, "scram") {
			how = "hides the password and nothing else"
		}
		all = append(all, fmt.Sprintf("kafka.sasl.mechanism: %s without TLS %s: set kafka.tls.enabled to true and take the brokers' TLS port", c.Kafka.SASL.Mechanism, how))
	}
	if u, err := url.Parse(c.Registry.URL); err == nil && c.Registry.User != "" && u.Scheme == "http" && !loopback(u.Host) {
		all = append(all, "registry.password: it is sent readable over http: write https in registry.url")
	}
	if !c.ClickHouse.TLS.Enabled && !loopback(c.ClickHouse.Addr) {
		all = append(all, "clickhouse.password: it is sent readable without TLS: set clickhouse.tls.enabled to true and take the server's TLS port, 9440")
	}
	return all
}

// loopback says that every address, host or host:port, is this machine.
func loopback(addrs ...string) bool {
	for _, addr := range addrs {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return false
		}
	}
	return true
}
