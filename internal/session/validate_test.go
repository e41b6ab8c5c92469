package session

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"
)

const roomy = 1 << 20

func TestValidate(t *testing.T) {
	good := func(change func(s *Session)) {
		t.Helper()
		s := sample()
		change(s)
		if err := s.Validate(roomy); err != nil {
			t.Error(err)
		}
	}
	bad := func(want string, change func(s *Session)) {
		t.Helper()
		s := sample()
		change(s)
		err := s.Validate(roomy)
		if e := (*InvalidError)(nil); !errors.As(err, &e) || err.Error() != "invalid "+want {
			t.Errorf("got  %v\nwant invalid %s", err, want)
		}
	}
	ptr := func(s string) *string { return &s }
	longest := strings.Repeat("é", 200)
	const tooLong, date, utf8 = ": must have at most 200 characters", ": must be a date of the years 1970 to 2254", ": must be valid UTF-8"

	good(func(*Session) {})
	good(func(s *Session) { *s = Session{ID: "a"} })
	bad("id: must have 1 to 128 characters", func(s *Session) { s.ID = "" })
	bad("id: may have only the characters A-Z a-z 0-9 . _ ~ : -", func(s *Session) { s.ID = "a/b" })

	texts := map[string]func(s *Session, v string){
		"factors.user.id":             func(s *Session, v string) { s.Factors.User.ID = v },
		"factors.user.loginName":      func(s *Session, v string) { s.Factors.User.LoginName = v },
		"factors.user.displayName":    func(s *Session, v string) { s.Factors.User.DisplayName = v },
		"factors.user.organizationId": func(s *Session, v string) { s.Factors.User.OrganizationID = v },
		"userAgent.fingerprintId":     func(s *Session, v string) { s.UserAgent.FingerprintID = ptr(v) },
		"userAgent.ip":                func(s *Session, v string) { s.UserAgent.IP = ptr(v) },
		"userAgent.description":       func(s *Session, v string) { s.UserAgent.Description = ptr(v) },
		"creator":                     func(s *Session, v string) { s.Creator = v },
	}
	for field, set := range texts {
		good(func(s *Session) { set(s, longest) })
		bad(field+tooLong, func(s *Session) { set(s, longest+"x") })
		bad(field+utf8, func(s *Session) { set(s, "a\xff") })
		if field != "factors.user.id" {
			good(func(s *Session) { set(s, "") })
		}
	}
	bad("factors.user.id: must have 1 to 200 characters", func(s *Session) { s.Factors.User.ID = "" })
	bad("factors.user: is required with other factors", func(s *Session) { s.Factors.User = nil })
	good(func(s *Session) { s.Factors = Factors{} })
	good(func(s *Session) { s.Factors = Factors{User: s.Factors.User} })

	all := func(s *Session) {
		s.Factors.WebAuthN, s.Factors.Intent, s.Factors.OTPSMS, s.Factors.OTPEmail, s.Factors.RecoveryCode = &WebAuthNFactor{}, &Factor{}, &Factor{}, &Factor{}, &Factor{}
	}
	dates := map[string]func(s *Session, t Time){
		"creationDate":                    func(s *Session, t Time) { s.CreationDate = t },
		"changeDate":                      func(s *Session, t Time) { s.ChangeDate = t },
		"factors.user.verifiedAt":         func(s *Session, t Time) { s.Factors.User.VerifiedAt = t },
		"factors.password.verifiedAt":     func(s *Session, t Time) { s.Factors.Password.VerifiedAt = t },
		"factors.webAuthN.verifiedAt":     func(s *Session, t Time) { all(s); s.Factors.WebAuthN.VerifiedAt = t },
		"factors.intent.verifiedAt":       func(s *Session, t Time) { all(s); s.Factors.Intent.VerifiedAt = t },
		"factors.totp.verifiedAt":         func(s *Session, t Time) { s.Factors.TOTP.VerifiedAt = t },
		"factors.otpSms.verifiedAt":       func(s *Session, t Time) { all(s); s.Factors.OTPSMS.VerifiedAt = t },
		"factors.otpEmail.verifiedAt":     func(s *Session, t Time) { all(s); s.Factors.OTPEmail.VerifiedAt = t },
		"factors.recoveryCode.verifiedAt": func(s *Session, t Time) { all(s); s.Factors.RecoveryCode.VerifiedAt = t },
	}
	for field, set := range dates {
		good(func(s *Session) { set(s, 0) })
		good(func(s *Session) { set(s, MaxScore-1) })
		for _, t := range []Time{-1, MaxScore, Never, math.MinInt64} {
			bad(field+date, func(s *Session) { set(s, t) })
		}
	}
	for _, t := range []Time{0, MaxScore, maxDate, Never} {
		good(func(s *Session) { s.ExpirationDate = t })
	}
	for _, t := range []Time{-1, maxDate + 1, Never - 1, math.MinInt64} {
		bad("expirationDate: must be a date of the years 1970 to 9999", func(s *Session) { s.ExpirationDate = t })
	}

	good(func(s *Session) { s.Sequence = math.MaxUint64 - 1 })
	bad("sequence: must be at most 18446744073709551614", func(s *Session) { s.Sequence = math.MaxUint64 })

	const keys = ": must have keys of at most 200 characters"
	good(func(s *Session) { s.Metadata[longest] = nil })
	good(func(s *Session) { s.Metadata[""] = []byte("x") })
	bad("metadata"+keys, func(s *Session) { s.Metadata[longest+"x"] = nil })
	bad("metadata: must have keys of valid UTF-8", func(s *Session) { s.Metadata["\xff"] = nil })
	good(func(s *Session) { s.UserAgent.Header[longest] = []string{""} })
	good(func(s *Session) { s.UserAgent.Header[""] = []string{strings.Repeat("v", 1000)} })
	bad("userAgent.header: must have keys of at most 200 characters", func(s *Session) { s.UserAgent.Header[longest+"x"] = nil })
	bad("userAgent.header"+utf8, func(s *Session) { s.UserAgent.Header["a"] = []string{"\xff"} })
}

func TestValidateSize(t *testing.T) {
	f := func(change func(s *Session)) {
		t.Helper()
		s := sample()
		change(s)
		n := len(AppendJSON(nil, s))
		if err := s.Validate(n); err != nil {
			t.Errorf("%d bytes allowed: %v", n, err)
		}
		err := s.Validate(n - 1)
		if e := (*InvalidError)(nil); !errors.As(err, &e) || e.Field != "session" || !strings.HasPrefix(e.Problem, "must have at most ") {
			t.Errorf("%d of %d bytes allowed: %v", n-1, n, err)
		}
		// The bound that spares the encoding is never below the length.
		c := checker{bytes: fixedLen + len(s.ID)}
		c.session(s)
		if c.err != nil || c.bytes < n {
			t.Errorf("the bound of %d bytes is %d, %v", n, c.bytes, c.err)
		}
	}
	f(func(*Session) {})
	f(func(s *Session) { *s = Session{ID: "a"} })
	f(func(s *Session) { s.Metadata["k"] = make([]byte, 20000) })
	f(func(s *Session) {
		v := strings.Repeat("\x01", 200)
		*s.UserAgent.IP, *s.UserAgent.Description, *s.UserAgent.FingerprintID = v, v, v
		*s.Factors.User = UserFactor{VerifiedAt: 1, ID: v, LoginName: v, DisplayName: v, OrganizationID: v}
		one := &Factor{1}
		s.Factors = Factors{s.Factors.User, one, &WebAuthNFactor{1, false}, one, one, one, one, one}
	})
	f(func(s *Session) {
		for i := range 500 {
			key := strings.Repeat("\x1f", 1+i/26) + string(rune('a'+i%26))
			s.Metadata[key], s.UserAgent.Header[key] = nil, []string{"", "\x00", ""}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	s := sample()
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Validate(16 << 10); err != nil {
			b.Fatal(err)
		}
	}
}

// A factor may have been verified a minute from now, and no later.
func TestI1_CheckAhead(t *testing.T) {
	const now = Time(1_700_000_000_000_000)
	all := func(at Time) map[string]*Factors {
		return map[string]*Factors{
			"user": {User: &UserFactor{VerifiedAt: at}}, "password": {Password: &Factor{at}}, "webAuthN": {WebAuthN: &WebAuthNFactor{VerifiedAt: at}},
			"intent": {Intent: &Factor{at}}, "totp": {TOTP: &Factor{at}}, "otpSms": {OTPSMS: &Factor{at}}, "otpEmail": {OTPEmail: &Factor{at}}, "recoveryCode": {RecoveryCode: &Factor{at}},
		}
	}
	for _, at := range []Time{0, now, now.Add(time.Minute)} {
		for name, f := range all(at) {
			if err := f.CheckAhead(now); err != nil {
				t.Errorf("%s at %d: %v", name, at, err)
			}
		}
	}
	for name, f := range all(now.Add(time.Minute) + 1) {
		want := "invalid factors." + name + ".verifiedAt: must be at most 60 s in the future"
		if err := f.CheckAhead(now); err == nil || err.Error() != want {
			t.Errorf("%s: got the error %v, want %s", name, err, want)
		}
	}
}
