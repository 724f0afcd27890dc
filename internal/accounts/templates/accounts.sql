-- The accounts of pricelake, for servers that keep users made by SQL (with
-- access_management, or a cloud's own). The same rights as {{.File.As}}.
-- Put the SHA-256 of each password, in hexadecimal, in place of its variable:
--   envsubst < {{.File.Name}} | clickhouse-client --multiquery
-- On a cluster add ON CLUSTER to every statement.
-- Generated from internal/accounts: change it there and run
-- `go test ./internal/accounts -update`.
{{range $a := .Accounts}}
-- {{.Purpose}}
CREATE SETTINGS PROFILE IF NOT EXISTS {{.Name}} SETTINGS
{{- range $i, $s := .Profile}}{{if $i}},{{end}}
    {{.Name}} = {{quoted .Value}}{{if .Const}} CONST{{else if .Max}} MIN {{.Min}} MAX {{.Max}}{{end}}
{{- end}};
CREATE ROLE IF NOT EXISTS {{.Name}}_rights;
{{- range .Grants}}
{{- if .Why}}
-- {{.Why}}
{{- end}}
{{.For (print $a.Name "_rights")}};
{{- end}}
CREATE USER IF NOT EXISTS {{.Name}} IDENTIFIED WITH sha256_hash BY '${{"{"}}{{variable .Name}}{{"}"}}'
   {{if .StartsIn}} DEFAULT DATABASE {{.StartsIn}}{{end}} DEFAULT ROLE {{.Name}}_rights SETTINGS PROFILE '{{.Name}}';
GRANT {{.Name}}_rights TO {{.Name}};
{{- if .QueriesPerMinute}}
CREATE QUOTA IF NOT EXISTS {{.Name}} FOR INTERVAL 1 minute MAX queries = {{.QueriesPerMinute}} TO {{.Name}};
{{- end}}
{{end}}
