package rpc

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"

	"connectrpc.com/connect"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2beta"
	"google.golang.org/protobuf/proto"
)

// An answer of ZITADEL has the form of Go's protojson, which puts in spaces where it likes, and may have what is not known here.
func TestProcedures_ZITADELsAnswers(t *testing.T) {
	const (
		session = `{"metadata":{"b":"AP8="},  "id":"1", "factors":{"user":{"id":"u", "verifiedAt":"2026-12-01T10:00:00.123456Z"}, "newer":{}},"creationDate":"2026-12-01T10:00:00Z", "sequence":"4"}`
		get     = `{"session": ` + session + `}`
		list    = `{"details":{"totalResult":"7", "timestamp":"2026-12-01T10:00:00Z"}, "sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE", "sessions":[` + session + `, ` + session + `]}`
		set     = `{"details":{"sequence":"5", "newer":true}, "sessionToken":"t"}`
	)
	answers := map[string]string{"GetSession": get, "ListSessions": list, "SetSession": set}
	for _, v := range versions {
		for _, p := range v.procedures {
			said, ok := answers[p.name]
			if !ok {
				continue
			}
			b, err := p.answer(nil, []byte(said))
			if err != nil {
				t.Errorf("%s %s: %v", v.service, p.name, err)
				continue
			}
			check := func(m proto.Message, right func() bool) {
				if err := proto.Unmarshal(b, m); err != nil || !right() {
					t.Errorf("%s %s: %v, %v", v.service, p.name, m, err)
				}
			}
			var one sessionv2.GetSessionResponse
			var oneBeta sessionv2beta.GetSessionResponse
			var all sessionv2.ListSessionsResponse
			var after sessionv2.SetSessionResponse
			switch p.name {
			case "GetSession":
				check(&one, func() bool {
					s := one.GetSession()
					return s.GetId() == "1" && s.GetSequence() == 4 && s.GetFactors().GetUser().GetId() == "u" && string(s.GetMetadata()["b"]) == "\x00\xff"
				})
				check(&oneBeta, func() bool {
					return oneBeta.GetSession().GetFactors().GetUser().GetVerifiedAt().GetNanos() == 123_456_000
				})
			case "ListSessions":
				check(&all, func() bool { return all.GetDetails().GetTotalResult() == 7 && len(all.GetSessions()) == 2 })
			case "SetSession":
				check(&after, func() bool { return after.GetDetails().GetSequence() == 5 && after.GetSessionToken() == "t" })
			}
		}
	}
	if _, err := versions[0].procedures[1].answer(nil, []byte(`{"session": {"id":`)); err == nil {
		t.Error("half an answer")
	}
}

// A detail keeps its type, whether that is known here or not.
func TestRefusal_KeepsTheTypeOfADetail(t *testing.T) {
	value := []byte{1, 2, 3, 4} // of a length that base64 pads
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.StdEncoding} {
		x := begin(addressesOf(t.Context()))
		refused, ok := x.refusal([]byte(`{"code":"invalid_argument","message":"Password is invalid","details":[{"type":"zitadel.v1.CredentialsCheckError","value":"`+
			encoding.EncodeToString(value)+`","debug":{"failedAttempts":1}}]}`), true)
		x.end()
		e, isError := errors.AsType[*connect.Error](refused)
		if !ok || !isError || len(e.Details()) != 1 {
			t.Fatalf("%v, %v", refused, ok)
		}
		if d := e.Details()[0]; d.Type() != "zitadel.v1.CredentialsCheckError" || !bytes.Equal(d.Bytes(), value) {
			t.Errorf("%s %v", d.Type(), d.Bytes())
		}
	}
}
