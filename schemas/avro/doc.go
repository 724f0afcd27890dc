// Package avro turns the records of package schemas into the bytes of the
// topics and back, and speaks to the schema registry.
//
// Bytes are in the Confluent wire format: a zero byte, the writer schema's id
// in four big-endian bytes, the Avro body. Three readers stand side by side:
//
//   - [Codec] reads and writes the records of the house. Its body coder is
//     written by hand, one list of fields for both directions, because this is
//     the hot path of every role.
//   - A record written with another version of its schema is resolved against
//     ours by twmb/avro and then read like one of ours.
//   - [Client.DecodeJSON] reads any record of any writer schema with goavro,
//     for people: tail, dead letters.
//
// All three are bounded: what they allocate is proportional to the input,
// whatever counts and lengths it claims.
package avro
