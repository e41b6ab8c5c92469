package cache

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// Processes agree on what the first of them has recorded, and nothing that waits
// for a better time helps against what is recorded otherwise.
func TestOpen_AgreesOnWhatIsRecorded(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	rdb := s.Client(t)
	f := func(asked, want int, refusal string) {
		t.Helper()
		got, err := agreeOnShards(t.Context(), rdb, "cr:", asked)
		if refusal == "" && (got != want || err != nil) {
			t.Errorf("asked for %d: %d shards, %v; want %d", asked, got, err, want)
		}
		if refusal != "" && (err == nil || errors.Is(err, session.ErrUnavailable) || !strings.Contains(err.Error(), refusal)) {
			t.Errorf("asked for %d: %v; want %s", asked, err, refusal)
		}
	}
	if shards, recorded, err := Recorded(t.Context(), rdb, "cr:"); shards != 1 || recorded || err != nil {
		t.Errorf("nothing recorded: %d, %v, %v", shards, recorded, err)
	}
	f(8, 8, "")
	f(0, 8, "")
	if shards, recorded, err := Recorded(t.Context(), rdb, "cr:"); shards != 8 || !recorded || err != nil {
		t.Errorf("8 shards recorded: %d, %v, %v", shards, recorded, err)
	}
	f(4, 0, `the sessions under the key prefix "cr:" are spread over 8 shards, not 4; to change that`)
	s.Do("SET", "cr:meta", "layout=1 shards=8")
	f(8, 0, `the sessions under the key prefix "cr:" have layout 1, and this version of Cloakroom reads layout 2 only; choose another key prefix`)
	s.Do("SET", "cr:meta", "hello")
	f(8, 0, "the key cr:meta is not Cloakroom's; choose another key prefix")
	s.Do("DEL", "cr:meta")
	s.Do("RPUSH", "cr:meta", "hello")
	f(0, 0, "the key cr:meta is not Cloakroom's; choose another key prefix")
}
