// Package ledgercheck compares the ledger of the price-API simulator with what
// the lake holds, and names every difference. It reads nothing itself: a caller
// hands it the ledger, the rows and the calls of the catalog.
//
// What must hold, for everything that is not left out:
//
//   - every answer that the poller read to its end, whatever its status, is in
//     responses once, byte for byte; one that is not there is an attempt of a
//     poll that got no answer;
//   - every poll has one polls row with each of its attempts, and an outcome for
//     each symbol of its call;
//   - after the last allowed attempt a failed poll has one dead letter, and no
//     other poll has one;
//   - an HTML page with status 200 makes the outcome unparsable and one
//     rejected row;
//   - a symbol left out is absent; every other price of a symbol that the call
//     lists is in prices, with the numbers served;
//   - the same statement again makes no row, another value the next revision;
//     more than 18 decimals make a rounded value that is flagged;
//   - nothing else is in those tables, and (event id, revision) is unique.
//
// Answers are matched by the response header simulator.HeaderID, which the
// poller must keep. Attempts without an answer are matched by address and time.
//
// Left out are, by id: answers under way when the ledger was read or named in
// Options.InFlight, answers younger than the ledger, answers of another run of
// the simulator, answers the ledger has evicted, and the polls that hold one of
// them. Rows that name an answer unknown to responses are left out when they are
// younger than the ledger, for the lake goes on while it is read. Read the ledger
// first, wait until the lake has caught up, and then read the lake.
//
// The counts in Report say how much was compared. Assert on them too: a
// comparison of nothing finds nothing.
package ledgercheck
