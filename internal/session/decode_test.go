package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/protojson"
)

var docSeeds = []string{
	`{}`,
	`{"id":"a","creationDate":"1970-01-01T00:00:00Z","changeDate":"1970-01-01T00:00:00Z","sequence":"1"}`,
	`{"id":"a","creationDate":"2026-01-02T03:04:05Z","changeDate":"2026-01-02T03:04:05.5+01:00","sequence":7,"factors":{"user":{}},"expirationDate":"9999-12-31T23:59:59.999999999Z"}`,
	`{"creationDate":"2026-01-02T03:04:05Z","changeDate":"2026-01-02T03:04:05Z","sequence":"0","factors":{"user":{"id":"u\n","loginName":"\""},"webAuthN":{"userVerified":true}},"userAgent":{"ip":""}}`,
	`{"creationDate":"2026-01-02T03:04:05Z","changeDate":"2026-01-02T03:04:05Z","sequence":"1","metadata":{"}":"eA=="},"userAgent":{"fingerprintId":"\\","header":{"\"":{"values":["]"]},"b":{}}}}`,
	`{"id":"a","user_agent":{"fingerprint_id":"f"},"userAgent":null}`,
	`{"creator":"c","tokenSha256":"000000000000000000000000000000000000000000000000000000000000000f","metadata":{"a":"_w"}}`,
	`{"session":{"id":"a","metadata":{"":"eA=="}}}`, `{"session":{},"id":"a"}`, `{"userAgent":{"header":{"a":{"x":1}}}}`,
	`{"factors":{"password":{}}}`, `{"metadata":{"a":null}}`, `{"sequence":-1}`,
}

func TestDecodeJSON(t *testing.T) {
	f := func(body string, want Session, given Given) {
		t.Helper()
		got, gotGiven, err := DecodeJSON([]byte(body), false)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			return
		}
		if want.ExpirationDate == 0 && !given.ExpirationDate {
			want.ExpirationDate = Never
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", body, *got, want)
		}
		if gotGiven != given {
			t.Errorf("%s: given %+v, want %+v", body, gotGiven, given)
		}
	}
	ptr := func(s string) *string { return &s }
	hash := TokenHash{31: 0xaf}
	hex := strings.Repeat("0", 62) + "aF"

	f(``, Session{}, Given{})
	f(`{}`, Session{}, Given{})
	f(`{"id":"a","sequence":3}`, Session{ID: "a", Sequence: 3}, Given{ID: true, Sequence: true})
	f(`{"creation_date":"1970-01-01T00:00:01Z","change_date":"1970-01-01T01:00:02+01:00","expiration_date":"1970-01-01T00:00:00Z"}`,
		Session{CreationDate: 1_000_000, ChangeDate: 2_000_000}, Given{CreationDate: true, ChangeDate: true, ExpirationDate: true})
	f(`{"creationDate":"1970-01-01T00:00:00.0000019Z"}`, Session{CreationDate: 1}, Given{CreationDate: true})
	f(`{"creationDate":"1969-12-31T23:59:59.9999991Z"}`, Session{CreationDate: -1}, Given{CreationDate: true})
	f(`{"expirationDate":"9999-12-31T23:59:59.999999Z"}`, Session{ExpirationDate: maxDate}, Given{ExpirationDate: true})

	// What equals unset is not given.
	f(`{"id":"","sequence":0,"creator":"","tokenSha256":"","creationDate":null,"factors":null,"userAgent":{},"metadata":{}}`, Session{}, Given{})

	f(`{"creator":"c","tokenSha256":"`+hex+`"}`, Session{Creator: "c", Token: hash, TokenForeign: true}, Given{Creator: true, TokenSHA256: true})
	f(`{"token_sha256":"`+hex+`"}`, Session{Token: hash, TokenForeign: true}, Given{TokenSHA256: true})

	f(`{"factors":{"user":{"verified_at":"1970-01-01T00:00:01Z","id":"u","login_name":"l","displayName":"d","organization_id":"o"},"password":{},"web_auth_n":{"user_verified":true},
		"intent":null,"totp":{"verifiedAt":"1970-01-01T00:00:01Z"},"otp_sms":{},"otpEmail":{},"recovery_code":{}}}`,
		Session{Factors: Factors{
			User:     &UserFactor{VerifiedAt: 1_000_000, ID: "u", LoginName: "l", DisplayName: "d", OrganizationID: "o"},
			Password: &Factor{}, WebAuthN: &WebAuthNFactor{UserVerified: true}, TOTP: &Factor{1_000_000}, OTPSMS: &Factor{}, OTPEmail: &Factor{}, RecoveryCode: &Factor{},
		}}, Given{})
	f(`{"metadata":{"a_b":"_w","aB":""}}`, Session{Metadata: map[string][]byte{"a_b": {0xff}, "aB": {}}}, Given{})
	f(`{"userAgent":{"fingerprintId":"f","ip":"","description":null,"header":{"user_agent":{"values":["a","b"]},"x":{},"y":{"values":null}}}}`,
		Session{UserAgent: UserAgent{FingerprintID: ptr("f"), IP: ptr(""), Header: map[string][]string{"user_agent": {"a", "b"}, "x": nil, "y": nil}}}, Given{})
}

func TestDecodeJSONErrors(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		s, given, err := DecodeJSON([]byte(body), false)
		var e *protojson.Error
		if !errors.As(err, &e) || s != nil || given != (Given{}) {
			t.Errorf("%s: got %v, %v, %v", body, s, given, err)
			return
		}
		if !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got the error %v, want %s", body, err, want)
		}
	}
	const hash = "tokenSha256: must be the 64 hexadecimal digits of a SHA-256"
	f(`{"tokenSha256":"abc"}`, hash)
	f(`{"tokenSha256":"`+strings.Repeat("g", 64)+`"}`, hash)
	f(`{"tokenSha256":"`+strings.Repeat("0", 64)+`"}`, hash)
	f(`{"tokenSha256":"`+strings.Repeat("0", 66)+`"}`, hash)
	f(`{"token_sha256":"","tokenSha256":""}`, "tokenSha256: is given twice")
	f(`{"sequence":-1}`, "sequence: must not be negative")
	f(`{"factors":{"web_auth_n":{},"webAuthN":{}}}`, "factors.webAuthN: is given twice")
	f(`{"factors":{"totp":{"verifiedAt":1}}}`, "factors.totp.verifiedAt: must be an RFC 3339 timestamp")
	f(`{"factors":{"user":[]}}`, "factors.user: must be an object")
	f(`{"metadata":{"a":"?"}}`, `metadata["a"]: must be valid base64`)
	f(`{"metadata":{"a":null}}`, `metadata["a"]: must not be null`)
	f(`{"userAgent":{"header":{"a":{"values":[1]}}}}`, `userAgent.header["a"].values[0]: must be a string`)
	f(`{"userAgent":{"header":{"a":["1"]}}}`, `userAgent.header["a"]: must be an object`)
}

// What is not known is refused wherever it stands, or passed over where that is
// asked for, and nothing else changes by it.
func TestDecodeJSON_UnknownMembers(t *testing.T) {
	f := func(body, where string) {
		t.Helper()
		_, _, err := DecodeJSON([]byte(body), false)
		want := "proto: (line 1:" + where + ": is not known here: correct its name or leave it out; with ignoreUnknown=true in the query it is passed over"
		if err == nil || err.Error() != want {
			t.Errorf("%s: got the error %v, want %s", body, err, want)
		}
		s, _, err := DecodeJSON([]byte(body), true)
		if err != nil || s.ExpirationDate != Never {
			t.Errorf("%s: passing over what is not known, got %+v, %v", body, s, err)
		}
	}
	f(`{"expirationDat":"2026-01-01T00:00:00Z","id":"a"}`, "2): expirationDat")
	f(`{"id":"a","ExpirationDate":null}`, "11): ExpirationDate")
	f(`{"details":{},"metadata":null}`, "2): details")
	f(`{"factors":{"passkey":{}}}`, "13): factors.passkey")
	f(`{"factors":{"user":{"avatar":1}}}`, "21): factors.user.avatar")
	f(`{"factors":{"user":{},"webAuthN":{"userVerifed":true}}}`, "35): factors.webAuthN.userVerifed")
	f(`{"factors":{"totp":{"verified":1}}}`, "21): factors.totp.verified")
	f(`{"userAgent":{"finger_print_id":"f"}}`, "15): userAgent.fingerPrintId")
	f(`{"userAgent":{"header":{"a":{"value":[]}}}}`, `30): userAgent.header["a"].value`)
	f(`{"session":{"expires":"2026-01-01T00:00:00Z","id":"a"}}`, "13): session.expires")
	f(`{"session":{},"details":{}}`, "15): details")
}

// The answer of GetSession is as good as the session in it.
func TestDecodeJSON_Wrapped(t *testing.T) {
	doc := AppendJSON(nil, sample())
	bare, given, err := DecodeJSON(doc, false)
	if err != nil {
		t.Fatal(err)
	}
	wrapped, wrappedGiven, err := DecodeJSON([]byte(`{"session":`+string(doc)+`}`), false)
	if err != nil || !reflect.DeepEqual(wrapped, bare) || wrappedGiven != given {
		t.Errorf("got %+v, %+v, %v, want %+v, %+v", wrapped, wrappedGiven, err, bare, given)
	}
	if s, given, err := DecodeJSON([]byte(`{"session":{"creator":"c","tokenSha256":"`+strings.Repeat("1", 64)+`"}}`), false); err != nil || s.Creator != "c" || !given.TokenSHA256 {
		t.Errorf("got %+v, %+v, %v", s, given, err)
	}
	for body, want := range map[string]string{
		`{"session":null}`:             "proto: (line 1:16): session: must be an object",
		`{"session":[]}`:               "proto: (line 1:12): session: must be an object",
		`{"session":{},"session":{}}`:  "proto: (line 1:15): session: is given twice",
		`{"session":{},"creator":"c"}`: "proto: (line 1:25): creator: must be inside of session, where that is given",
		`{"creator":"c","session":{}}`: "proto: (line 1:26): session: must have all other members inside of it",
		`{"session":{"session":{}}}`:   "proto: (line 1:13): session.session: is not known here: correct its name or leave it out; with ignoreUnknown=true in the query it is passed over",
	} {
		if _, _, err := DecodeJSON([]byte(body), false); err == nil || err.Error() != want {
			t.Errorf("%s: got the error %v, want %s", body, err, want)
		}
	}
}

// The hash of a token is a secret's, so a wrong one is not repeated.
func TestI6_DecodeJSONDoesNotRepeatTheHash(t *testing.T) {
	_, _, err := DecodeJSON([]byte(`{"tokenSha256":"deadbeef"}`), false)
	if err == nil || strings.Contains(err.Error(), "dead") {
		t.Error(err)
	}
}

func TestI8_NothingPointsIntoTheBody(t *testing.T) {
	doc := AppendJSON(nil, sample())
	s, err := ParseDoc(doc)
	if err != nil {
		t.Fatal(err)
	}
	for i := range doc {
		doc[i] = '#'
	}
	if !reflect.DeepEqual(s, sample()) {
		t.Errorf("got %+v", s)
	}
}

// In a stored document creator and tokenSha256 are fields like any unknown one.
func TestParseDocTakesNoSecrets(t *testing.T) {
	s, err := ParseDoc([]byte(`{"creator":"c","tokenSha256":"` + strings.Repeat("1", 64) + `"}`))
	if err != nil || s.Creator != "" || !s.Token.IsZero() || s.TokenForeign {
		t.Errorf("got %+v, %v", s, err)
	}
}

// FuzzDecodeJSON: what is accepted can be stored, read back as it was, and is
// JSON to encoding/json too.
func TestParseWhole_RefusesWhatIsNotKnown(t *testing.T) {
	for doc, fault := range map[string]string{
		`{"id":"1","sequence":"2"}`:                              "",
		` { "id" : "1" , "factors" : {"user":{"id":"u"}} } `:     "",
		`{"id":"1","state":"x"}`:                                 "state: is not known here",
		`{"id":"1","factors":{"user":{"id":"u"},"passkey":{}}}`:  "factors.passkey: is not known here",
		`{"id":"1","creator":"u"}`:                               "creator: is not known here",
		`{"id":"1","userAgent":{"header":{"a":{"more":["b"]}}}}`: "is not known here",
		`{"session":{"id":"1"}}`:                                 "session: is not known here",
		`{"id":"1","sequence":"x"}`:                              "sequence",
	} {
		s, err := ParseWhole([]byte(doc))
		if fault == "" && (err != nil || s.ID != "1" || s.ExpirationDate != Never) || fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
			t.Errorf("%s: %+v, %v; want %q", doc, s, err, fault)
		}
	}
}

func FuzzDecodeJSON(f *testing.F) {
	f.Add(AppendJSON(nil, sample()))
	for _, s := range docSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, given, err := DecodeJSON(body, false)
		lenient, lenientGiven, lenientErr := DecodeJSON(body, true)
		if err != nil {
			return
		}
		if lenientErr != nil || !reflect.DeepEqual(lenient, s) || lenientGiven != given {
			t.Fatalf("%q has no unknown member, and is another session without them: %+v, %v", body, lenient, lenientErr)
		}
		if len(bytes.Trim(body, " \t\r\n")) > 0 && !json.Valid(body) {
			t.Fatalf("%q is not JSON", body)
		}
		// A header without values is as good as one with an empty list.
		for name, values := range s.UserAgent.Header {
			if len(values) == 0 {
				s.UserAgent.Header[name] = nil
			}
		}
		const limit = 4096
		valid := s.Validate(limit)
		doc := AppendJSON(nil, s)
		if (valid == nil) && len(doc) > limit {
			t.Fatalf("%q has %d bytes and is valid", body, len(doc))
		}
		back, err := ParseDoc(doc)
		if err != nil || !json.Valid(doc) {
			t.Fatalf("%q became %q: %v", body, doc, err)
		}
		s.Creator, s.Token, s.TokenForeign = "", TokenHash{}, false
		if s.Factors.User == nil {
			s.Factors = Factors{}
		}
		if !reflect.DeepEqual(back, s) {
			t.Fatalf("%q became %q:\n got %+v\nwant %+v", body, doc, back, s)
		}
		if again := AppendJSON(nil, back); !bytes.Equal(again, doc) {
			t.Fatalf("%q is not stable: %q", doc, again)
		}
		checkFacts(t, doc, s)
	})
}

func BenchmarkParseDoc(b *testing.B) {
	doc := AppendJSON(nil, sample())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseDoc(doc); err != nil {
			b.Fatal(err)
		}
	}
}
