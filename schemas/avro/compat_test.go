package avro

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// versions returns the schemas a subject has had, oldest first, from
// schemas/testdata/versions/<subject>/<n>.avsc.
func versions(t testing.TB, subject string) []string {
	t.Helper()
	var texts []string
	for n := 1; ; n++ {
		text, err := os.ReadFile(filepath.Join("..", "testdata", "versions", subject, strconv.Itoa(n)+".avsc"))
		if os.IsNotExist(err) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(text))
	}
}

// TestSchemasAreCompatible: whatever a subject's schema was, ours reads it and it
// reads ours; and ours is on record as the latest version.
func TestSchemasAreCompatible(t *testing.T) {
	for _, s := range Schemas() {
		earlier := versions(t, s.Name)
		if len(earlier) == 0 {
			t.Errorf("%s has no versions in testdata; copy its .avsc to 1.avsc", s.Name)
			continue
		}
		if compact(earlier[len(earlier)-1]) != s.Schema {
			t.Errorf("the schema of %s has changed: copy the .avsc of %s to schemas/testdata/versions/%s/%d.avsc",
				s.Name, s.Record, s.Name, len(earlier)+1)
		}
		if err := CheckFullTransitive(s.Schema, earlier); err != nil {
			t.Errorf("%s: %v\nA breaking change is a new topic beside the old.", s.Name, err)
		}
	}
}

func TestCheckFullTransitive(t *testing.T) {
	record := func(fields string) string {
		return `{"type":"record","name":"R","namespace":"n","fields":[` + fields + `]}`
	}
	const (
		a       = `{"name":"a","type":"string"}`
		b       = `{"name":"b","type":"int","default":0}`
		bNoDef  = `{"name":"b","type":"int"}`
		bLong   = `{"name":"b","type":"long","default":0}`
		two     = `{"name":"e","type":{"type":"enum","name":"E","symbols":["x","y"],"default":"x"},"default":"x"}`
		three   = `{"name":"e","type":{"type":"enum","name":"E","symbols":["x","y","z"],"default":"x"},"default":"x"}`
		twoBare = `{"name":"e","type":{"type":"enum","name":"E","symbols":["x","y"]}}`
		treBare = `{"name":"e","type":{"type":"enum","name":"E","symbols":["x","y","z"]}}`
		nine    = `{"name":"d","type":{"type":"fixed","name":"D","size":16,"logicalType":"decimal","precision":38,"scale":9}}`
		teen    = `{"name":"d","type":{"type":"fixed","name":"D","size":16,"logicalType":"decimal","precision":38,"scale":18}}`
	)
	f := func(want string, next string, earlier ...string) {
		t.Helper()
		err := CheckFullTransitive(next, earlier)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s after %s:\n got  %v\n want %q", next, earlier, err, want)
		}
	}
	f("", record(a))
	f("", record(a+","+b), record(a))
	f("", record(a), record(a+","+b))
	f("", record(a+","+b), record(a), record(a+","+b), record(a))
	f("", record(three), record(two))
	f("", record(two), record(three))
	f("the new schema cannot read version 1", record(a+","+bNoDef), record(a))
	f("version 1 cannot read the new schema", record(a), record(a+","+bNoDef))
	f("version 2 cannot read the new schema", record(a), record(a), record(a+","+bNoDef))
	f("version 1 cannot read the new schema", record(bLong), record(b))
	f("version 1 cannot read the new schema", record(treBare), record(twoBare))
	f("version 1", record(teen), record(nine))
	f("checking the new schema", `{"type":"record"}`, record(a))
	f("checking against version 2", record(a), record(a), `{"type":"nothing"}`)
}

func TestSubjects(t *testing.T) {
	ours := Schemas()
	if len(ours) != 12 {
		t.Errorf("%d subjects, want 12", len(ours))
	}
	for _, s := range ours {
		if s.Name != s.Topic+"-value" || strings.ContainsAny(s.Schema, "\n\t") {
			t.Errorf("subject %+v", s)
		}
	}
}
