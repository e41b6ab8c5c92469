package upstream_test

import (
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/upstream"
)

func TestState_Text(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for want, s := range map[string]upstream.State{
		"has not been asked yet":                             {},
		"answers; its last answer is to a call 1m30s ago":    {Served: now.Add(-90 * time.Second)},
		"away: silence; it has not answered yet":             {Away: true, Fault: "silence", Refused: "no"},
		"away: silence; its last answer is to a call 2s ago": {Away: true, Fault: "silence", Served: now.Add(-2 * time.Second)},
		"our account is refused: no":                         {Refused: "no", Pause: time.Second, Served: now},
		"asks for no calls of our account for 5s":            {Pause: 5 * time.Second, Served: now},
	} {
		if got := s.Text(now); got != want {
			t.Errorf("%+v: got %q, want %q", s, got, want)
		}
	}
}
