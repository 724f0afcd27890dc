import json
import sys

import clickhouse_connect
import clickhouse_driver

from stock import records

up = json.load(sys.stdin)
TOPICS = ["catalog.calls.v1", "catalog.instruments.v1", "schedules.v1", "polls.requested.v1", "polls.finished.v1",
          "responses.v1", "prices.observed.v1", "prices.v1", "prices.rejected.v1", "deadletters.v1"]

for topic in TOPICS:
    n = 0
    for msg, value in records(up, topic, most=2000):
        n += 1
        assert value is None or isinstance(value, dict), (topic, value)
    assert n > 0, f"{topic} is empty"
    print(f"librdkafka  {topic}  {n} records")

http_host, http_port = up["clickhouse_http"].removeprefix("http://").split(":")
native_host, native_port = up["clickhouse_native"].split(":")
user, password = up["clickhouse_user"], up["clickhouse_password"]

lake = clickhouse_connect.get_client(host=http_host, port=int(http_port), database="pricelake", username=user, password=password)
rows = lake.query("SELECT instrument, price, event_time FROM prices WHERE price IS NOT NULL LIMIT 5").result_rows
assert len(rows) == 5 and all(type(r[1]).__name__ == "Decimal" for r in rows), rows
print("clickhouse-connect  ", rows[0])

native = clickhouse_driver.Client(host=native_host, port=int(native_port), database="pricelake", user=user, password=password)
rows = native.execute("SELECT instrument, price, event_time FROM prices WHERE price IS NOT NULL LIMIT 5")
assert len(rows) == 5 and all(type(r[1]).__name__ == "Decimal" for r in rows), rows
print("clickhouse-driver   ", rows[0])


def refused(what, call):
    try:
        answer = call()
    except Exception as e:  # whatever the client makes of a refusal
        print(f"refused     {what}: {str(e).splitlines()[0][:100]}")
        return
    raise SystemExit(f"not refused: {what}: {answer!r}")


refused("wrong password over HTTP", lambda: clickhouse_connect.get_client(
    host=http_host, port=int(http_port), username=user, password="wrong").query("SELECT 1"))
refused("wrong password over native", lambda: clickhouse_driver.Client(
    host=native_host, port=int(native_port), user=user, password="wrong").execute("SELECT 1"))
for sql in ["SELECT * FROM file('/etc/hostname')", "SELECT * FROM file('/etc/hostname', 'LineAsString')", "SELECT file('/etc/hostname')",
            "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')"]:
    refused(sql, lambda sql=sql: lake.query(sql).result_rows)
    refused(sql + " over native", lambda sql=sql: native.execute(sql))
assert lake.query("SELECT count() > 0 FROM prices").result_rows == [(1,)]
print("ok")
