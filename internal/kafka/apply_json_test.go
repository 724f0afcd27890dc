package kafka_test

import (
	"encoding/json"
	"testing"

	"github.com/pricelake/pricelake/internal/kafka"
)

// `topics apply --json` names what its table does, as every --json in lower case.
func TestTopicChangeAsJSON(t *testing.T) {
	got, err := json.Marshal(kafka.TopicChange{Topic: "a", Kind: kafka.ChangeRefused, Config: "partitions", From: "4", To: "12"})
	if want := `{"topic":"a","change":"refused","setting":"partitions","from":"4","to":"12"}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}
