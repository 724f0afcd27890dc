"""Reading a topic with librdkafka and the Confluent registry client."""

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def records(up, topic, most=None):
    """Yields (message, decoded value) of every record of a topic that was committed
    at the call, or of so many of them."""
    consumer = Consumer({
        "bootstrap.servers": up["kafka"],
        "group.id": "stock-clients",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "fetch.message.max.bytes": 16 << 20,
    })
    decode = AvroDeserializer(SchemaRegistryClient({"url": up["registry"]}))
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        assert partitions, f"{topic} has no partitions"
        # Where the topic goes on growing its end is never reached: what counts is
        # the end as it is now.
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in partitions}
        consumer.assign([TopicPartition(topic, p, 0) for p in partitions])
        ended, seen = set(), 0
        while len(ended) < len(partitions):
            msg = consumer.poll(20)
            assert msg is not None, f"{topic}: nothing for 20 s, ended {ended}"
            if msg.error():
                if msg.error().name() == "_PARTITION_EOF":
                    ended.add(msg.partition())
                    continue
                raise SystemExit(f"{topic}: {msg.error()}")
            if msg.offset() >= ends[msg.partition()] - 1:
                ended.add(msg.partition())
            if msg.offset() >= ends[msg.partition()]:
                continue
            if seen == most:
                return
            seen += 1
            value = decode(msg.value(), SerializationContext(topic, MessageField.VALUE)) if msg.value() is not None else None
            yield msg, value
    finally:
        consumer.close()
