package avro

import (
	"bytes"
	"encoding/json"

	"github.com/pricelake/pricelake/schemas"
)

// Compatibility is the level every subject is kept at: each version of a schema
// reads what every other version wrote.
const Compatibility = "FULL_TRANSITIVE"

// Subject is a topic's schema as the registry knows it.
type Subject struct {
	Name   string // in the registry: the topic's name and -value
	Topic  string
	Record string // name of the Go type and of the Avro record
	Schema string // compact JSON
}

// Schemas returns the subject of every topic, in the order of the path.
func Schemas() []Subject {
	var subjects []Subject
	for _, d := range schemas.Definitions() {
		subjects = append(subjects, Subject{
			Name:   d.Topic + "-value",
			Topic:  d.Topic,
			Record: d.Record,
			Schema: compact(d.Schema),
		})
	}
	return subjects
}

// compact returns the JSON text without white space, which is what registries
// store and hand out with every id.
func compact(text string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(text)) != nil {
		return text // the registry says what is wrong with it
	}
	return b.String()
}
