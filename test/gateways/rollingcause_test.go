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

// stalls are the errors of a process that has waited for Redis for as long as it may, or stopped to because others had: the
// machine was busy with something else. Redis itself runs all the while, so any other error comes from a restart.
var stalls = []string{"context deadline exceeded", "i/o timeout", "connection pool timeout", "redis is away: its last calls failed"}

// trouble is a line of a process's log that has an error.
type trouble struct {
	Time      time.Time `json:"time"`
	Message   string    `json:"msg"`
	RequestID string    `json:"request_id"` // of the request that could not be answered, "" if it is about something else
	Call      string    `json:"call"`
	Error     string    `json:"error"`
}

func (x *trouble) isStall() bool {
	for _, s := range stalls {
		if strings.Contains(x.Error, s) {
			return true
		}
	}
	return false
}

// troubles returns the lines with an error: stalls, and the requests that could not be answered for another reason. A log has
// the first few of those that are alike, of every run of the process.
func troubles(log []byte) (stalled, failed []trouble) {
	for line := range bytes.Lines(log) {
		var x trouble
		switch {
		case json.Unmarshal(line, &x) != nil || x.Error == "":
		case x.isStall():
			stalled = append(stalled, x)
		case x.RequestID != "":
			failed = append(failed, x)
		}
	}
	return stalled, failed
}

// blame fails the test for what was told to clients that a busy machine does not explain: by the processes, and at some times
// by the balancer, that it had no process to send to.
func blame(t *testing.T, processes []*replica, none []time.Time) {
	t.Helper()
	// Both count as not ready if Redis is silent for half a second. A process says so within another second.
	const about = 3 * time.Second
	var stalled []trouble
	for _, r := range processes {
		log, err := os.ReadFile(r.log)
		if err != nil {
			t.Error(err)
		}
		waited, failed := troubles(log)
		for _, x := range failed {
			t.Errorf("cloakroom at %s could not answer a request, and not because it waited in vain: %+v", r.api, x)
		}
		stalled = append(stalled, waited...)
	}
	if len(stalled) > 0 {
		t.Logf("processes have waited in vain for Redis, %d times in their logs, first: %+v", len(stalled), stalled[0])
	}
	for _, at := range none {
		explained := false
		for i := range stalled {
			explained = explained || stalled[i].Time.Sub(at).Abs() < about
		}
		if !explained {
			t.Errorf("%s: the balancer had no process to send to, though none waited in vain for Redis", at.Format("05.000"))
		}
	}
}

func TestRollingTellsAStallFromARestart(t *testing.T) {
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
	stalled, failed := troubles([]byte(log))
	if got := fmt.Sprint(ids(stalled), " ", ids(failed)); got != "13 24" {
		t.Errorf("stalls and failures are %s", got)
	}
}
