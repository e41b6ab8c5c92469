package gateways

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// waits are the errors of a process that has waited for Redis for as long as it may, or stopped to because others had. Redis
// itself runs all the while, so any other error comes from a restart. These can too, so blame asks the pulse.
var waits = []string{"context deadline exceeded", "i/o timeout", "connection pool timeout", "redis is away: its last calls failed"}

// trouble is a line of a process's log that has an error.
type trouble struct {
	Time      time.Time `json:"time"`
	Message   string    `json:"msg"`
	RequestID string    `json:"request_id"` // of the request that could not be answered, "" if it is about something else
	Call      string    `json:"call"`
	Error     string    `json:"error"`
}

func (x *trouble) isWait() bool {
	for _, s := range waits {
		if strings.Contains(x.Error, s) {
			return true
		}
	}
	return false
}

// troubles returns the lines with an error: of waits in vain, and of requests that could not be answered for another reason. A
// log has the first few of those that are alike, of every run of the process.
func troubles(log []byte) (waited, failed []trouble) {
	for line := range bytes.Lines(log) {
		var x trouble
		switch {
		case json.Unmarshal(line, &x) != nil || x.Error == "":
		case x.isWait():
			waited = append(waited, x)
		case x.RequestID != "":
			failed = append(failed, x)
		}
	}
	return waited, failed
}

// told is what clients were told instead of what they asked for, and when.
type told struct {
	late []time.Time // by the processes: the store does not answer
	none []time.Time // by the balancer: there is no process
}

// blame returns what was told to clients of so many requests that a busy machine does not explain: all of it but what was told
// about when the pulse saw a stall, and that too if it is much.
func (x *told) blame(requests int64, stalls []stall) (faults []string) {
	for _, kind := range []struct {
		what  string
		times []time.Time
	}{{"the store is away", x.late}, {"there is no process", x.none}} {
		if rest := unexplained(kind.times, stalls); len(rest) > 0 {
			faults = append(faults, fmt.Sprintf("%d requests were told that %s, of which %d when Redis did answer, the first at %s", len(kind.times), kind.what, len(rest), rest[0].Format("05.000")))
		}
	}
	// A breaker that a stall has opened lets nothing through for a quarter of a second, in a run that can be as short as one.
	const most = 0.2
	if n := len(x.late) + len(x.none); float64(n) > most*float64(requests) {
		faults = append(faults, fmt.Sprintf("%d of %d requests were not answered: that is too much for a busy machine", n, requests))
	}
	return faults
}

// readLogs fails the test for the errors in the processes' logs that no wait for Redis explains.
func readLogs(t *testing.T, processes []*replica) {
	t.Helper()
	for _, r := range processes {
		log, err := os.ReadFile(r.log)
		if err != nil {
			t.Error(err)
		}
		waited, failed := troubles(log)
		for _, x := range failed {
			t.Errorf("cloakroom at %s could not answer a request, and not because it waited in vain: %+v", r.api, x)
		}
		if len(waited) > 0 {
			t.Logf("cloakroom at %s has waited in vain for Redis, %d times in its log, first: %+v", r.api, len(waited), waited[0])
		}
	}
}

func TestRollingBlames(t *testing.T) {
	begun := time.Now()
	at := func(seconds ...float64) (times []time.Time) {
		for _, s := range seconds {
			times = append(times, begun.Add(time.Duration(s*float64(time.Second))))
		}
		return times
	}
	stalls := []stall{{at(10)[0], at(11)[0]}}
	const requests = 50
	for _, f := range []struct {
		name   string
		told   told
		stalls []stall
		faults int
	}{
		{"nothing", told{}, nil, 0},
		{"nothing, and a stall", told{}, stalls, 0},
		{"late, and no stall", told{late: at(10)}, nil, 1},
		{"no process, and no stall", told{none: at(10)}, nil, 1},
		{"both in a stall", told{at(10.5), at(10.6)}, stalls, 0},
		{"about a stall", told{at(7.5, 13.5), at(13.9)}, stalls, 0},
		{"late long before", told{late: at(6.5, 10)}, stalls, 1},
		{"no process long after", told{none: at(10, 14.5)}, stalls, 1},
		{"both elsewhere", told{at(20), at(20)}, stalls, 2},
		{"a fifth in a stall", told{late: at(10, 10, 10, 10, 10, 10, 10, 10, 10, 10)}, stalls, 0},
		{"more in a stall", told{late: at(10, 10, 10, 10, 10, 10, 10, 10, 10, 10), none: at(10)}, stalls, 1},
	} {
		if faults := f.told.blame(requests, f.stalls); len(faults) != f.faults {
			t.Errorf("%s: %d faults, not %d: %q", f.name, len(faults), f.faults, faults)
		}
	}
}

func TestRollingTellsAWaitFromARestart(t *testing.T) {
	const log = `{"level":"INFO","msg":"stopping"}
{"level":"INFO","msg":"write","request_id":"0","call":"CreateSession","status":201,"audit":true}
{"level":"WARN","msg":"verify: the session store is unavailable","request_id":"1","error":"the session store is unavailable: context deadline exceeded"}
{"level":"ERROR","msg":"request failed","request_id":"2","call":"GetSession","error":"the session store is unavailable: redis: client is closed"}
{"level":"ERROR","msg":"write failed","request_id":"3","call":"CreateSession","error":"the session store is unavailable: read tcp 127.0.0.1:1->127.0.0.1:2: i/o timeout"}
{"level":"ERROR","msg":"write failed","request_id":"4","call":"CreateSession","error":"the session store is unavailable: context canceled"}
{"level":"WARN","msg":"near cache is not used until redis proves to be a master","error":"EOF"}
`
	ids := func(list []trouble) (ids string) {
		for i := range list {
			ids += list[i].RequestID
		}
		return ids
	}
	waited, failed := troubles([]byte(log))
	if got := fmt.Sprint(ids(waited), " ", ids(failed)); got != "13 24" {
		t.Errorf("waits and failures are %s", got)
	}
}
