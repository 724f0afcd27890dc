"""Every committed record of prices.v1 is in prices exactly once, and nothing else."""

import json
import sys
import time

import clickhouse_connect

from stock import records

up = json.load(sys.stdin)
host, port = up["clickhouse_http"].removeprefix("http://").split(":")
lake = clickhouse_connect.get_client(host=host, port=int(port), database="pricelake",
                                     username=up["clickhouse_user"], password=up["clickhouse_password"])

committed = {}
for msg, value in records(up, "prices.v1"):
    committed[(msg.partition(), msg.offset())] = (value["event_id"].hex(), value["revision"], value["price"], value["bid"], value["ask"], value["size"])

end = {}
for partition, offset in committed:
    end[partition] = max(end.get(partition, -1), offset)
deadline = time.time() + 60
while True:  # records are committed a moment before they are rows
    rows = {}
    for partition, offset, event_id, *rest in lake.query(
            "SELECT _partition, _offset, lower(hex(event_id)), revision, price, bid, ask, size FROM prices").result_rows:
        if offset <= end.get(partition, -1):
            rows.setdefault((partition, offset), []).append((event_id, *rest))
    missing = [k for k in committed if k not in rows]
    if not missing or time.time() > deadline:
        break
    time.sleep(0.5)

doubled = [k for k, v in rows.items() if len(v) != 1]
unexpected = [k for k in rows if k not in committed]
different = [(k, v[0], committed[k]) for k, v in rows.items() if k in committed and v[0] != committed[k]]
print(f"{len(committed)} committed records, {len(rows)} rows, {len(missing)} missing, {len(doubled)} doubled, "
      f"{len(unexpected)} unexpected, {len(different)} different")
if missing or doubled or unexpected or different or not committed:
    raise SystemExit(f"missing {missing[:5]} doubled {doubled[:5]} unexpected {unexpected[:5]} different {different[:3]}")
