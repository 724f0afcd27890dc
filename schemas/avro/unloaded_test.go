package avro

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/pricelake/pricelake/schemas"
)

func TestUnloadedNamesWhatOthersWrite(t *testing.T) {
	registry, client := newRegistry(t)
	subject := subjectOf(t, schemas.TopicPrices)
	if got, err := client.Unloaded(t.Context(), subject); err != nil || len(got) > 0 {
		t.Errorf("of a subject that is not there: %q, %v", got, err)
	}
	registry.SeedSchema(subject.Name, 1, 7, sr.Schema{Schema: subject.Schema, Type: sr.TypeAvro})
	if got, err := client.Unloaded(t.Context(), subject); err != nil || len(got) > 0 {
		t.Errorf("of our own schema: %q, %v", got, err)
	}
	newer := otherVersion(t, fieldText(t, "session"), `{"name":"venue","type":["null","string"],"default":null},`)
	registry.SeedSchema(subject.Name, 2, 8, sr.Schema{Schema: newer, Type: sr.TypeAvro})
	if got, err := client.Unloaded(t.Context(), subject); err != nil || !slices.Equal(got, []string{"venue"}) {
		t.Errorf("of a newer one: %q, %v", got, err)
	}
}
