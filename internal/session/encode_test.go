package session

import (
	"reflect"
	"testing"
)

func TestAppendJSON(t *testing.T) {
	f := func(s *Session, want string) {
		t.Helper()
		if got := string(AppendJSON([]byte("x"), s)); got != "x"+want {
			t.Errorf("got\n%s\nwant\n%s", got[1:], want)
		}
		back, err := ParseDoc([]byte(want))
		if err != nil || !reflect.DeepEqual(back, s) {
			t.Errorf("%s\nreads as %+v, %v", want, back, err)
		}
		checkFacts(t, []byte(want), s)
	}
	ptr := func(s string) *string { return &s }
	const (
		dates = `"creationDate":"1970-01-01T00:00:00Z","changeDate":"1970-01-01T00:00:01.500Z"`
		begin = `{"id":"a",` + dates + `,"sequence":"1"`
	)
	with := func(change func(*Session)) *Session {
		s := &Session{ID: "a", ChangeDate: 1_500_000, Sequence: 1, ExpirationDate: Never}
		change(s)
		return s
	}

	f(with(func(*Session) {}), begin+`}`)
	f(with(func(s *Session) { s.ID, s.Sequence = "", 0 }), `{`+dates+`,"sequence":"0"}`)
	f(with(func(s *Session) { s.Sequence = 18446744073709551615 }), `{"id":"a",`+dates+`,"sequence":"18446744073709551615"}`)

	f(with(func(s *Session) { s.ExpirationDate = 0 }), begin+`,"expirationDate":"1970-01-01T00:00:00Z"}`)
	f(with(func(s *Session) { s.ExpirationDate = MaxScore }), begin+`,"expirationDate":"2255-01-01T00:00:00Z"}`)
	f(with(func(s *Session) { s.ExpirationDate = maxDate }), begin+`,"expirationDate":"9999-12-31T23:59:59.999999Z"}`)

	f(with(func(s *Session) { s.Factors.User = &UserFactor{} }), begin+`,"factors":{"user":{}}}`)
	f(with(func(s *Session) { s.Factors.User = &UserFactor{ID: "u", OrganizationID: "o"} }), begin+`,"factors":{"user":{"id":"u","organizationId":"o"}}}`)
	f(with(func(s *Session) {
		s.Factors = Factors{
			User:     &UserFactor{VerifiedAt: 1, ID: "u", LoginName: "l", DisplayName: `"d"\`, OrganizationID: "o"},
			Password: &Factor{1_000_000}, WebAuthN: &WebAuthNFactor{0, false}, Intent: &Factor{}, TOTP: &Factor{2_000_000},
			OTPSMS: &Factor{3_000_000}, OTPEmail: &Factor{4_000_000}, RecoveryCode: &Factor{5_000_000},
		}
	}), begin+`,"factors":{"user":{"verifiedAt":"1970-01-01T00:00:00.000001Z","id":"u","loginName":"l","displayName":"\"d\"\\","organizationId":"o"},`+
		`"password":{"verifiedAt":"1970-01-01T00:00:01Z"},"webAuthN":{"userVerified":false},"intent":{},"totp":{"verifiedAt":"1970-01-01T00:00:02Z"},`+
		`"otpSms":{"verifiedAt":"1970-01-01T00:00:03Z"},"otpEmail":{"verifiedAt":"1970-01-01T00:00:04Z"},"recoveryCode":{"verifiedAt":"1970-01-01T00:00:05Z"}}}`)
	f(with(func(s *Session) {
		s.Factors = Factors{User: &UserFactor{ID: "u"}, WebAuthN: &WebAuthNFactor{1_000_000, true}}
	}), begin+`,"factors":{"user":{"id":"u"},"webAuthN":{"verifiedAt":"1970-01-01T00:00:01Z","userVerified":true}}}`)

	f(with(func(s *Session) {
		s.Metadata = map[string][]byte{"b": {0xfb, 0xff}, "B": []byte("x"), `"}`: {}, "a_b": []byte("y")}
	}), begin+`,"metadata":{"\"}":"","B":"eA==","a_b":"eQ==","b":"+/8="}}`)

	f(with(func(s *Session) { s.UserAgent.FingerprintID = ptr("") }), begin+`,"userAgent":{"fingerprintId":""}}`)
	f(with(func(s *Session) { s.UserAgent.IP = ptr("") }), begin+`,"userAgent":{"ip":""}}`)
	f(with(func(s *Session) {
		s.UserAgent = UserAgent{
			FingerprintID: ptr("f\t\u0001\x7f<&>é😀"), IP: ptr("::1"), Description: ptr("d"),
			Header: map[string][]string{"b": {"1", `"]}`, ""}, "A": nil},
		}
	}), begin+`,"userAgent":{"fingerprintId":"f\t\u0001`+"\x7f"+`<&>é😀","ip":"::1","description":"d","header":{"A":{},"b":{"values":["1","\"]}",""]}}}}`)
}

// What the wire has no form for is left out.
func TestAppendJSONOmits(t *testing.T) {
	const want = `{"id":"a","creationDate":"1970-01-01T00:00:00Z","changeDate":"1970-01-01T00:00:00Z","sequence":"0"}`
	for name, s := range map[string]*Session{
		"factors without a user": {Factors: Factors{Password: &Factor{1}}},
		"empty metadata":         {Metadata: map[string][]byte{}},
		"empty header":           {UserAgent: UserAgent{Header: map[string][]string{}}},
		"creator and token":      {Creator: "c", Token: TokenHash{1}, TokenForeign: true},
	} {
		s.ID, s.ExpirationDate = "a", Never
		if got := string(AppendJSON(nil, s)); got != want {
			t.Errorf("%s: got %s", name, got)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	s, buf := sample(), make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendJSON(buf[:0], s)
	}
}
