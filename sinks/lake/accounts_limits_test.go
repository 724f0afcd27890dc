package lake

import (
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/pricelake/pricelake/internal/accounts"
)

// readerLimited lowers each limit of the reader, as it may, to where a small
// query meets it: the server keeps to all of them.
func readerLimited(t *testing.T, l *Lake) {
	for limit, statement := range map[string][2]string{
		"max_execution_time":                        {"Timeout exceeded", "SELECT sleepEachRow(0.2) FROM numbers(50) SETTINGS max_block_size = 1, max_execution_time = 1"},
		"max_memory_usage":                          {"emory limit", "SELECT length(groupArray(number)) FROM numbers(10000000) SETTINGS max_memory_usage = 10000000"},
		"max_result_rows":                           {"Limit for result exceeded", "SELECT number FROM numbers(1000) SETTINGS max_result_rows = 10, max_block_size = 10"},
		"max_result_bytes":                          {"Limit for result exceeded", "SELECT number FROM numbers(1000) SETTINGS max_result_bytes = 100, max_block_size = 10"},
		"max_bytes_to_read":                         {"Limit for rows or bytes to read exceeded", "SELECT sum(number) FROM numbers(1000000) SETTINGS max_bytes_to_read = 1000"},
		"max_temporary_data_on_disk_size_for_query": {"Limit for temporary files size exceeded", "SELECT count() FROM (SELECT number FROM numbers(3000000) GROUP BY number) SETTINGS max_bytes_before_external_group_by = 1000000, max_bytes_ratio_before_external_group_by = 0, max_temporary_data_on_disk_size_for_query = 100000"},
	} {
		t.Run(limit, func(t *testing.T) { refused(t, l, statement[0], statement[1]) })
	}
}

// readerCrowds asks more at once than one account may.
func readerCrowds(t *testing.T, l *Lake) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	told := 0
	for range 12 {
		wg.Go(func() {
			err := l.Query(t.Context(), "SELECT sleepEachRow(0.5) FROM numbers(6) SETTINGS max_block_size = 1", func([]Column) error { return nil }, func([]*string) error { return nil })
			mu.Lock()
			defer mu.Unlock()
			if err != nil && strings.Contains(err.Error(), "Too many simultaneous queries for user") {
				told++
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if told == 0 {
		t.Error("twelve queries at once were taken, want eight")
	}
}

// The limits that docs/sql.md names are those of the profile.
func TestDocumentedLimits(t *testing.T) {
	text, err := os.ReadFile(sqlDoc)
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(max_\\w+)` \\| ([0-9 ]+) \\|").FindAllStringSubmatch(string(text), -1) {
		documented[m[1]] = strings.ReplaceAll(m[2], " ", "")
	}
	for _, s := range accounts.ReaderProfile() {
		if strings.HasPrefix(s.Name, "max_") && documented[s.Name] != s.Value {
			t.Errorf("%s is %s, docs/sql.md says %q", s.Name, s.Value, documented[s.Name])
		}
	}
}
