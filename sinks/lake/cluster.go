package lake

import (
	"fmt"
	"io/fs"
	"strings"
)

// ClusterFile is one file of sql/ for a replicated cluster.
type ClusterFile struct {
	Name string
	SQL  string
}

// RenderCluster returns the migrations as a replicated cluster of that name
// needs them. The transformation is textual and small: statements run ON CLUSTER,
// MergeTree becomes ReplicatedMergeTree under the macros shard and replica, and
// the window of tokens is the replicated one. The text is checked for syntax
// only: nothing of it has been run on a cluster, and Migrate does not use it.
func RenderCluster(cluster string) ([]ClusterFile, error) {
	if !identifier(cluster) {
		return nil, fmt.Errorf("rendering the migrations for cluster %q: want a name of letters, digits and underscores", cluster)
	}
	names, err := fs.Glob(files, "sql/*.sql")
	if err != nil {
		return nil, fmt.Errorf("rendering the migrations for cluster %q: %w", cluster, err)
	}
	var out []ClusterFile
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("rendering the migrations for cluster %q: %w", cluster, err)
		}
		out = append(out, ClusterFile{Name: strings.TrimPrefix(name, "sql/"), SQL: replicated(string(text), cluster)})
	}
	return out, nil
}

func replicated(text, cluster string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		for _, create := range []string{"CREATE TABLE IF NOT EXISTS ", "CREATE OR REPLACE VIEW ", "ALTER TABLE "} {
			if rest, ok := strings.CutPrefix(line, create); ok {
				name, after, _ := strings.Cut(rest, " ")
				lines[i] = strings.TrimRight(create+name+" ON CLUSTER "+cluster+" "+after, " ")
			}
		}
		if line == "ENGINE = MergeTree" {
			lines[i] = "ENGINE = ReplicatedMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')"
		}
		lines[i] = strings.ReplaceAll(lines[i], "ENGINE = ReplacingMergeTree(",
			"ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', ")
		lines[i] = strings.ReplaceAll(lines[i], "SETTINGS non_replicated_deduplication_window = 10000",
			"SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800")
	}
	return strings.Join(lines, "\n")
}
