package samples_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/samples"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

func TestSamples(t *testing.T) {
	now := session.TimeOf(time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC))
	all := samples.Sessions(now)
	if !reflect.DeepEqual(all, samples.Sessions(now)) {
		t.Error("not the same twice")
	}
	if len(all) != samples.Count {
		t.Fatalf("got %d sessions", len(all))
	}
	ids, users, creators := map[session.ID]bool{}, map[string]map[string]bool{}, map[string]bool{}
	var recent, never, old int
	for _, s := range all {
		f := s.Facts()
		if ids[f.ID] {
			t.Errorf("ID %s twice", f.ID)
		}
		ids[f.ID], creators[f.Creator] = true, true
		if users[f.UserID] == nil {
			users[f.UserID] = map[string]bool{}
		}
		users[f.UserID][f.AgentID] = true
		if f.Due(now) || f.Creation >= now || s.ChangeDate > now || s.ChangeDate < f.Creation || s.Factors.User.VerifiedAt > s.ChangeDate {
			t.Errorf("dates of %+v", s)
		}
		if _, err := session.ParseID(string(f.ID)); err != nil || len(f.ID) != 19 {
			t.Errorf("ID %s: %v", f.ID, err)
		}
		switch age := now.Sub(f.Creation); {
		case age < 24*time.Hour:
			recent++
		case age > samples.Days*24*time.Hour+time.Minute:
			t.Errorf("%s is %v old", f.ID, age)
		case age > 15*24*time.Hour:
			old++
		}
		if f.Expiration == session.Never {
			never++
		}
	}
	several := 0
	for _, agents := range users {
		if len(agents) > 1 {
			several++
		}
	}
	if len(users) != samples.Users || len(creators) != 3 || several < 50 || recent < 50 || old < 50 || never < 50 {
		t.Errorf("%d users, %d with several devices, %d creators, %d recent, %d old, %d without end", len(users), several, len(creators), recent, old, never)
	}
}
