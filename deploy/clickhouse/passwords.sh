#!/bin/sh
# Makes a password for each account of ClickHouse and the file that tells the
# server their hashes. What is there already is kept, so it may be run again.
#
#   passwords.sh DIR
#
# DIR/pricelake_writer.password and the like go to the clients, as
# PRICELAKE_CLICKHOUSE_PASSWORD=file:… ; DIR/pricelake-passwords.xml goes into
# users.d of the server, in place of the one that reads its environment.
set -eu
dir=${1:?"usage: passwords.sh DIR"}
umask 077
mkdir -p "$dir"
{
  echo "<clickhouse><users>"
  for account in pricelake_migrator pricelake_writer pricelake_reader; do
    file=$dir/$account.password
    [ -s "$file" ] || head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$file"
    hash=$(tr -d '\r\n' <"$file" | sha256sum | cut -d ' ' -f 1)
    echo "  <$account><password_sha256_hex>$hash</password_sha256_hex></$account>"
  done
  echo "</users></clickhouse>"
} >"$dir/pricelake-passwords.xml.new"
mv "$dir/pricelake-passwords.xml.new" "$dir/pricelake-passwords.xml"
chmod 644 "$dir/pricelake-passwords.xml" # hashes, which another user, the server's, has to read
