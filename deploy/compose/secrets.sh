#!/usr/bin/env bash
# The passwords of the compose file: made at its first start, kept after.
#
#   docker compose run --rm secrets show     prints them
#   docker compose run --rm secrets renew    new ones for ClickHouse; then docker compose up --wait --force-recreate
#
# Each file belongs to the account of the container that it is for and can be
# read by no other; ClickHouse gets hashes only.
set -euo pipefail

dir=/run/secrets
users=/etc/clickhouse-server/users.d
here=$(dirname "$0")
umask 077

make() {
  chmod 755 "$dir" "$users"
  sh "$here/passwords.sh" "$dir"
  [ -s "$dir/grafana_admin.password" ] || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$dir/grafana_admin.password"

  install -m 644 "$dir/pricelake-passwords.xml" "$users/.new"
  mv "$users/.new" "$users/pricelake-passwords.xml"
  rm "$dir/pricelake-passwords.xml"

  own 65533 pricelake_migrator
  own 65532 pricelake_writer pricelake_reader
  own 472 grafana_admin
}

# own UID NAME...: one reader for each file.
own() {
  local uid=$1 name
  shift
  for name; do
    chown "$uid:$uid" "$dir/$name.password"
    chmod 400 "$dir/$name.password"
  done
}

show() {
  local file
  for file in "$dir"/*.password; do
    printf '%-20s %s\n' "$(basename "$file" .password)" "$(<"$file")"
  done
}

case ${1:-make} in
  make) make ;;
  show) show ;;
  renew) rm -f "$dir"/pricelake_*.password && make ;;
  *) echo "secrets.sh: no command $1; write make, show or renew" >&2; exit 2 ;;
esac
