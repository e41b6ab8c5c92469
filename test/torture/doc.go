// Package torture breaks what is between Cloakroom and its sessions, and Cloakroom itself, while it is under load, and holds
// every answer against the writes that were acknowledged: TestMatrix goes through the faults of docs/faults.md, TestI5_Killed
// kills the program again and again, TestSoak lets it work for long. TestOverload, TestCrowd, TestStreams and TestI10_Flood ask more of it
// than it can do. The program runs as processes, with real Redis servers.
//
// `go test` runs a short form, and with -short a share of it, which rotates: every fourth fault, every other one of the tests
// that need the machine for themselves. `make torture` runs the long form, and writes a report. The package has tests only. They read their
// amounts from the environment:
//
//	CLOAKROOM_TORTURE_SEED      what the load draws its randomness from; else it is drawn, and printed
//	CLOAKROOM_TORTURE_ROUNDS    how often TestMatrix goes through the matrix, with other numbers of shards each time (1)
//	CLOAKROOM_TORTURE_FAULT     how long a fault of the matrix lasts (1200ms)
//	CLOAKROOM_TORTURE_KILLS     how often TestI5_Killed kills, at least (20)
//	CLOAKROOM_TORTURE_OPS       operations of TestSoak (20000, with -short 6000)
//	CLOAKROOM_TORTURE_OVERLOAD  how long each load of TestOverload, TestCrowd and TestI10_Flood lasts (1s); from 5s on they
//	                            want the ratio that is promised, and wait until slow connections are cut
//	CLOAKROOM_TORTURE_CROWD     connections of TestCrowd, one in six of them slow (1200); TestStreams has one for 120 of them
//	CLOAKROOM_TORTURE_COSTLY    sessions that a search of TestI10_Flood examines (2000)
//	CLOAKROOM_TORTURE_RACE      build the program with the race detector if it is 1, but where memory or times are measured
//	CLOAKROOM_TORTURE_REPORT    directory for the report; else there is none
package torture
