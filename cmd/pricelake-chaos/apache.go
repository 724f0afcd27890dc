package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pricelake/pricelake/internal/freeport"
)

// prepareKafka formats a data directory for one Apache Kafka process, broker
// and controller in one, and returns its command line. A directory that an
// earlier run has formatted stays as it is, with the address it has.
func prepareKafka(ctx context.Context, o *options, dir, addr string) (argv []string, listens string, err error) {
	jars, err := filepath.Glob(filepath.Join(o.kafkaLibs, "kafka_2.13-*.jar"))
	if err != nil || len(jars) == 0 {
		return nil, "", usageError{fmt.Errorf("there is no Apache Kafka in %q: name the folder of its jars with --kafka-libs", o.kafkaLibs)}
	}
	path, properties := filepath.Join(o.kafkaLibs, "*"), filepath.Join(dir, "server.properties")
	argv = []string{o.java, "-Xmx768m", "-XX:+UseG1GC", "-cp", path, "kafka.Kafka", properties}
	if text, err := os.ReadFile(properties); err == nil {
		_, rest, _ := strings.Cut(string(text), "listeners=PLAINTEXT://")
		addr, _, _ = strings.Cut(rest, ",")
		return argv, addr, nil
	}
	controller, err := freeport.Addr()
	if err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, "", fmt.Errorf("making a folder for Kafka: %w", err)
	}
	if err := os.WriteFile(properties, []byte(kafkaProperties(dir, addr, controller)), 0o600); err != nil {
		return nil, "", fmt.Errorf("configuring Kafka: %w", err)
	}
	tool := func(args ...string) ([]byte, error) {
		var stderr bytes.Buffer
		cmd := exec.CommandContext(ctx, o.java, append([]string{"-Xshare:auto", "-cp", path, "kafka.tools.StorageTool"}, args...)...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("formatting Kafka's storage: %w: %s", err, stderr.Bytes())
		}
		return out, nil
	}
	id, err := tool("random-uuid")
	if err != nil {
		return nil, "", err
	}
	if _, err := tool("format", "--standalone", "-t", strings.TrimSpace(string(id)), "-c", properties); err != nil {
		return nil, "", err
	}
	return argv, addr, nil
}

func kafkaProperties(dir, addr, controller string) string {
	_, port, _ := net.SplitHostPort(controller)
	return strings.Join([]string{
		"process.roles=broker,controller",
		"node.id=1",
		"controller.quorum.bootstrap.servers=127.0.0.1:" + port,
		"listeners=PLAINTEXT://" + addr + ",CONTROLLER://127.0.0.1:" + port,
		"advertised.listeners=PLAINTEXT://" + addr + ",CONTROLLER://127.0.0.1:" + port,
		"controller.listener.names=CONTROLLER",
		"inter.broker.listener.name=PLAINTEXT",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
		"log.dirs=" + filepath.Join(dir, "data"),
		"offsets.topic.replication.factor=1",
		"offsets.topic.num.partitions=8",
		"transaction.state.log.replication.factor=1",
		"transaction.state.log.min.isr=1",
		"transaction.state.log.num.partitions=8",
		"share.coordinator.state.topic.replication.factor=1",
		"share.coordinator.state.topic.min.isr=1",
		"group.initial.rebalance.delay.ms=0",
		"group.min.session.timeout.ms=1000",
		"transaction.abort.timed.out.transaction.cleanup.interval.ms=1000",
		"auto.create.topics.enable=false",
		"",
	}, "\n")
}
