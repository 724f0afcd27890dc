package main

import (
	"strings"
	"testing"

	"github.com/pricelake/pricelake/internal/app"
)

// A server that answers with a refusal is not one that is away: who reads the one
// looks for a password, who reads the other for a process.
func TestStatusSaysWhyNothingIsKnown(t *testing.T) {
	var out strings.Builder
	c := &cli{out: newPrinter(&out)}
	c.printStatus(app.Status{
		Kafka:      &app.NotKnown{Reason: "gives no answer"},
		ClickHouse: &app.NotKnown{Reason: "refuses the login", Remedy: "check clickhouse.user"},
	})
	for _, want := range []string{"Roles: not known, Kafka gives no answer\n", "Consumer groups: not known, Kafka gives no answer\n",
		"Lake: not known, ClickHouse refuses the login: check clickhouse.user\n", ": not known, ClickHouse refuses the login: check clickhouse.user\nRoles"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
}
