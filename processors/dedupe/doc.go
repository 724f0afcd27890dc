// Package dedupe drops what was said before and numbers what was corrected. It
// is the stage between prices.observed.v1 and prices.v1: a price whose event id
// is new passes with revision 0, a repeat of the highest revision is dropped
// and counted, other values under a known id pass as the next revision.
//
// What it remembers of an id is a materialised view of the output partition:
// input partition p goes to output partition p, and the state of p is what the
// log of output partition p says, no more and no less. It is kept on disk,
// because identities outlive the retention of the topic (the history of a
// source is polled again every day), together with the output offset up to which
// it is applied. It changes only after the transaction that carries the change
// has committed, and a new owner applies the rest of the log before it starts.
package dedupe
