// Package samples makes sessions as they are found in a store, for somebody who tries the program.
package samples

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const (
	// Count is how many sessions there are, and Users how many users have them.
	Count, Users = 1000, 200
	// Days is how old the oldest session is at most, and how long at most one with an end goes on.
	Days = 30
)

// user is a person with devices.
type user struct {
	factor  session.UserFactor
	locale  string
	devices []session.UserAgent
}

// Sessions makes Count sessions: the same ones at each call, except for their
// dates, which are relative to now. None is due.
func Sessions(now session.Time) []*session.Session {
	r := rand.New(rand.NewPCG(2, 829))
	users := make([]user, Users)
	for i := range users {
		users[i] = newUser(r, i)
	}
	all := make([]*session.Session, 0, Count)
	for i := range Count {
		// Everybody has a session; some are here more often than others.
		u := &users[i%Users]
		if i >= Users {
			u = &users[int(float64(Users)*r.Float64()*r.Float64())]
		}
		age := time.Duration(r.Float64() * r.Float64() * Days * 24 * float64(time.Hour))
		all = append(all, u.session(r, now, age+time.Second, i))
	}
	return all
}

func newUser(r *rand.Rand, i int) user {
	first, last := firstNames[i%len(firstNames)], lastNames[(i*7+i/len(firstNames))%len(lastNames)]
	org := organizations[r.IntN(len(organizations))]
	u := user{
		factor: session.UserFactor{
			ID:             strconv.Itoa(218480890961985793 + i*65537),
			LoginName:      fmt.Sprintf("%s.%s%d@%s", strings.ToLower(first), strings.ToLower(last), i, org.domain),
			DisplayName:    first + " " + last,
			OrganizationID: org.id,
		},
		locale: locales[r.IntN(len(locales))],
	}
	for range 1 + r.IntN(4) {
		u.devices = append(u.devices, newDevice(r, u.locale))
	}
	return u
}

func newDevice(r *rand.Rand, locale string) session.UserAgent {
	kind := devices[r.IntN(len(devices))]
	fingerprint := fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())
	ip := netip.AddrFrom4([4]byte{203, 0, 113, byte(1 + r.IntN(254))}).String()
	if r.IntN(4) == 0 {
		ip = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 13: byte(r.IntN(256)), 15: byte(1 + r.IntN(255))}).String()
	}
	return session.UserAgent{
		FingerprintID: &fingerprint,
		IP:            &ip,
		Description:   &kind.description,
		Header: map[string][]string{
			"user-agent":      {kind.userAgent},
			"accept-language": {locale + "," + locale[:2] + ";q=0.8", "en;q=0.5"},
		},
	}
}

// session makes the i-th session of all, one of u's.
func (u *user) session(r *rand.Rand, now session.Time, age time.Duration, i int) *session.Session {
	created := now.Add(-age)
	checked := created.Add(time.Duration(1500+r.IntN(20_000)) * time.Millisecond)
	changed := min(now, checked.Add(time.Duration(r.IntN(90))*time.Second))
	checked = min(checked, changed)
	s := &session.Session{
		// As session.NewID makes them, but with the index instead of chance.
		ID:             session.ID(strconv.FormatInt(int64(created/1000)<<20|int64(i), 10)),
		CreationDate:   created,
		ChangeDate:     changed,
		Sequence:       uint64(2 + r.IntN(4)),
		UserAgent:      u.devices[r.IntN(len(u.devices))],
		ExpirationDate: now.Add(time.Duration(1+r.IntN(Days*24)) * time.Hour),
		Creator:        creators[r.IntN(len(creators))],
		Metadata: map[string][]byte{
			"app":    []byte(apps[r.IntN(len(apps))]),
			"locale": []byte(u.locale),
		},
	}
	if r.IntN(8) == 0 {
		s.ExpirationDate = session.Never
	}
	factor := u.factor
	factor.VerifiedAt = checked
	s.Factors = factorsOf(r, checked)
	s.Factors.User = &factor
	return s
}

// factorsOf returns what a login checks in addition to the user; some have checked nothing yet.
func factorsOf(r *rand.Rand, at session.Time) session.Factors {
	f := func() *session.Factor { return &session.Factor{VerifiedAt: at} }
	switch n := r.IntN(100); {
	case n < 45:
		return session.Factors{Password: f()}
	case n < 65:
		return session.Factors{Password: f(), TOTP: f()}
	case n < 80:
		return session.Factors{WebAuthN: &session.WebAuthNFactor{VerifiedAt: at, UserVerified: true}}
	case n < 90:
		return session.Factors{Intent: f()}
	case n < 94:
		return session.Factors{Password: f(), OTPSMS: f()}
	case n < 97:
		return session.Factors{Password: f(), OTPEmail: f()}
	}
	return session.Factors{}
}

var organizations = []struct{ id, domain string }{
	{"218480890961985500", "example.com"},
	{"218480890961985611", "example.org"},
	{"218480890961985722", "example.net"},
}

// creators are the user IDs of the services that log people in.
var creators = []string{"login-app", "mobile-backend", "support-desk"}

var apps = []string{"shop", "wiki", "tickets", "payroll"}

var locales = []string{"de-CH", "de-DE", "en-GB", "en-US", "fr-FR", "it-IT"}

var firstNames = []string{
	"Anna", "Ben", "Carla", "David", "Elena", "Felix", "Greta", "Hugo", "Ines", "Jonas",
	"Klara", "Luca", "Mia", "Noah", "Olivia", "Paul", "Rosa", "Samuel", "Tessa", "Viktor",
}

var lastNames = []string{
	"Ammann", "Brunner", "Costa", "Dubois", "Egger", "Fischer", "Graf", "Huber", "Iten", "Jansen",
	"Keller", "Lambert", "Meier", "Novak", "Oliveira", "Peters", "Rossi", "Schmid", "Taylor", "Weber",
}

var devices = []struct{ description, userAgent string }{
	{"Firefox on Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"},
	{"Chrome on Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"},
	{"Chrome on Android", "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"},
	{"Safari on iPhone", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"},
	{"Safari on Mac", "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15"},
	{"Firefox on Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
}
