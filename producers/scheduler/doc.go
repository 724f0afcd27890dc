// Package scheduler decides when a call of the catalog is due and asks for it
// once: for every due slot one transaction carries the request for the poller
// and the slot as the new watermark of the call. It makes no HTTP call and
// keeps no state but what the topic of slots can give back.
package scheduler
