package scenario

import (
	"bytes"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/load"
)

func TestRaw_AsksForTheUsersSessions(t *testing.T) {
	c := raw{testConfig()}.Client(0, load.NewRand(1, 0)).(*rawSearcher)
	request, _ := c.Next(nil)
	want := resp("ZREVRANGE", RawUserKey+UserID(c.user), "0", "4")
	for k := PerUser - 1; k >= 0; k-- {
		want = append(want, resp("HGET", RawSessionKey+SessionID(testData.OfUser(c.user, k)), "doc")...)
	}
	if !bytes.Equal(request, want) {
		t.Errorf("got %q, want %q", request, want)
	}
}
