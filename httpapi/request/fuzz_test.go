package request

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/httpapi/caller"
	"github.com/cloakroom-dev/cloakroom/httpapi/refusal"
	"github.com/cloakroom-dev/cloakroom/index"
	"github.com/cloakroom-dev/cloakroom/internal/protojson"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// secondOpinion decodes body with encoding/json. It fails the test if that
// finds fault with a body that we took.
func secondOpinion(t *testing.T, body []byte) object {
	t.Helper()
	if !utf8.Valid(body) {
		t.Fatalf("invalid UTF-8 was taken: %q", body)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return object{}
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var tree map[string]any
	if err := d.Decode(&tree); err != nil {
		t.Fatalf("%q was taken, encoding/json says %v", body, err)
	}
	if d.More() {
		t.Fatalf("%q was taken, encoding/json finds more behind it", body)
	}
	return tree
}

// object is a JSON object as encoding/json decodes it.
type object map[string]any

// field returns the value under a lowerCamel name or its snake_case form.
func (o object) field(name string) any {
	if v, ok := o[name]; ok {
		return v
	}
	var snake strings.Builder
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			snake.WriteByte('_')
			c += 'a' - 'A'
		}
		snake.WriteRune(c)
	}
	return o[snake.String()]
}

func (o object) object(name string) object {
	m, _ := o.field(name).(map[string]any)
	return m
}

func (o object) text(name string) string {
	s, _ := o.field(name).(string)
	return s
}

// uint returns a whole number, however it is written.
func (o object) uint(name string) uint64 {
	var digits string
	switch v := o.field(name).(type) {
	case json.Number:
		digits = v.String()
	case string:
		digits = v
	default:
		return 0
	}
	n, ok := new(big.Rat).SetString(digits)
	if !ok || !n.IsInt() || !n.Num().IsUint64() {
		return 1<<64 - 1
	}
	return n.Num().Uint64()
}

// refused checks that a fault is the client's, and can be told.
func refused(t *testing.T, body []byte, err error) {
	t.Helper()
	answer, answered := errors.AsType[*refusal.Error](err)
	_, syntax := errors.AsType[*protojson.Error](err)
	_, meaning := errors.AsType[*session.InvalidError](err)
	if !syntax && !meaning && !(answered && answer.Code == refusal.Invalid) {
		t.Errorf("%q was refused with %v", body, err)
	}
	if !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\x00\r\n") {
		t.Errorf("%q was refused with the text %q", body, err)
	}
}

func FuzzDecodeList(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"query":{"offset":"1","limit":2.0e1,"asc":true},"sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE"}`,
		`{"queries":[{"idsQuery":{"ids":["a","b"]}},{"userIdQuery":{"id":"u"}},{"creatorQuery":{}},{"userAgentQuery":{"fingerprintId":"f"}}]}`,
		`{"queries":[{"creation_date_query":{"creation_date":"2023-05-04T08:38:50.123456789+02:00","method":2}},{"expirationDateQuery":{}}]}`,
		`{"queries":[{}]}`, `{"queries":[{"creatorQuery":{"id":""}}]}`, `{"query":null,"queries":null,"x":[{"y":1}]}`,
		`{"query":{"cursor":"","limit":1}}`, `{"query":{"cursor":null}}`, `{"query":{"cursor":"AeOwxEKY_BwUAAYKJDs4gABz"}}`,
		`{"queries":[{"user\u0049dQuery":{"id":"\u00e4\ud83d\ude00"}}]}`,
		`{"explain":true}`, ` { "x":1 , "expl\u0061in" : true , "query":{"explain":true}}`, `{"explain":null,"queries":[]}`, `{"explain":false}`,
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	who := &caller.Caller{UserID: "me", AgentID: "mine"}
	f.Fuzz(func(t *testing.T, body []byte, beta bool) {
		q, err := DecodeList(body, who, beta, false)
		if err != nil {
			refused(t, body, err)
			return
		}
		tree := secondOpinion(t, body)
		query := tree.object("query")
		asc, _ := query.field("asc").(bool)
		if _, given := query.field("cursor").(string); given != (q.Query.Cursor != nil) {
			t.Errorf("%q: the page begins after %+v", body, q.Query.Cursor)
		}
		if q.Query.Offset != query.uint("offset") || uint64(q.Limit) != query.uint("limit") || q.Query.Ascending != asc {
			t.Errorf("%q: got %+v", body, q)
		}
		explains, _ := tree.field("explain").(bool)
		if q.Explain != (explains && !beta) || Explains(body) != explains {
			t.Errorf("%q: explain is %v", body, q.Explain)
		}
		delete(tree, "explain")
		if left := secondOpinion(t, WithoutExplain(body)); !reflect.DeepEqual(left, tree) {
			t.Errorf("%q without explain is %q", body, WithoutExplain(body))
		}
		list, _ := tree.field("queries").([]any)
		if len(list) != len(q.Query.Predicates) {
			t.Fatalf("%q: got %d predicates", body, len(q.Query.Predicates))
		}
		for i, p := range q.Query.Predicates {
			comparePredicate(t, body, p, list[i].(map[string]any))
		}
	})
}

// comparePredicate compares a predicate with its query as encoding/json has it.
func comparePredicate(t *testing.T, body []byte, p index.Predicate, query object) {
	t.Helper()
	o := query.object(p.Kind.String())
	if o == nil {
		t.Errorf("%q: got %+v", body, p)
	}
	want := p.Value
	switch p.Kind {
	case index.KindIDs:
		list, _ := o.field("ids").([]any)
		ids := make([]session.ID, len(list))
		for i, v := range list {
			ids[i] = session.ID(v.(string))
		}
		if wanted := index.ByIDs(ids...); !slices.Equal(p.IDs(), wanted.IDs()) {
			t.Errorf("%q: got %v", body, p.IDs())
		}
	case index.KindUser:
		want = o.text("id")
	case index.KindCreator:
		if want = o.text("id"); want == "" {
			want = "me"
		}
	case index.KindAgent:
		if want = o.text("fingerprintId"); want == "" {
			want = "mine"
		}
	}
	if p.Value != want {
		t.Errorf("%q: got %q, want %q", body, p.Value, want)
	}
}

func FuzzDecodeChanges(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"checks":{"user":{"userId":"u"}},"metadata":{"k":"dg=="},"lifetime":"18000.5s"}`,
		`{"checks":{"password":{"password":"p"}},"challenges":{"otpSms":{}}}`, `{"checks":{"user":{"login_name":"l"}}}`,
		`{"factors":{"user":{"id":"u","verifiedAt":"2023-05-04T08:38:50Z"},"webAuthN":{"userVerified":true},"totp":{}}}`,
		`{"userAgent":{"fingerprintId":"","header":{"h":{"values":["a"]}}},"sessionToken":"x"}`, `{"lifetime":"0s"}`, `{"lifetime":null,"checks":null}`,
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, set bool) {
		decode := DecodeCreate
		if set {
			decode = DecodeSet
		}
		q, err := decode(body)
		if err != nil {
			refused(t, body, err)
			return
		}
		tree := secondOpinion(t, body)
		user := tree.object("checks").object("user")
		if want := user.text("userId"); q.userID != want {
			t.Errorf("%q: got the user %q, want %q", body, q.userID, want)
		}
		if u := tree.object("factors").object("user"); u != nil && q.factors.User.ID != u.text("id") {
			t.Errorf("%q: got the factor %+v", body, q.factors.User)
		}
		if m := tree.object("metadata"); len(m) != len(q.metadata) {
			t.Errorf("%q: got %d values of metadata", body, len(q.metadata))
		}
		if (tree.text("lifetime") != "") != (q.Lifetime > 0) {
			t.Errorf("%q: got the lifetime %s", body, q.Lifetime)
		}
		if !set {
			if id, given := tree.object("userAgent").field("fingerprintId").(string); given != (q.Agent.FingerprintID != nil) || given && *q.Agent.FingerprintID != id {
				t.Errorf("%q: got the user agent %+v", body, q.Agent)
			}
		}
		// What is applied to a session is a session that can be kept, or told why not.
		s := &session.Session{ID: "s", Sequence: 1, ExpirationDate: session.Never}
		var wrong *session.InvalidError
		if err := q.Apply(s, 1); err != nil {
			if !errors.As(err, &wrong) {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if err := s.Validate(1 << 20); err != nil {
			return
		}
		if _, err := session.ParseDoc(session.AppendJSON(nil, s)); err != nil {
			t.Errorf("%q: what is kept cannot be read: %v", body, err)
		}
	})
}

// A question about a session names it in one way, or is refused without a word of it. (I6)
func FuzzDecodeJudge(f *testing.F) {
	for _, seed := range []string{`{"id":"a"}`, `{"token":"hunter2"}`, `{"id":"a","token":"hunter2"}`, `{"token":{"hunter2":1}}`, `{"token":"hunter2`, `{}`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := DecodeJudge(body)
		if err == nil && (q.ID == "") == (q.Token == "") {
			t.Errorf("%q: got %+v", body, q)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", body, err)
		}
	})
}

func FuzzDecodeReference(f *testing.F) {
	for _, seed := range []string{``, `{}`, `{"sessionToken":"t"}`, `{"session_id":"s","session_token":"t"}`, `{"sessionToken":null}`, `{"sessionId":"s","sessionToken":""}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := DecodeReference(body)
		if err != nil {
			refused(t, body, err)
			return
		}
		tree := secondOpinion(t, body)
		if want := tree.text("sessionToken"); q.Token != want || q.Given != (tree.field("sessionToken") != nil) {
			t.Errorf("%q: got %+v, want the token %q", body, q, want)
		}
		if want := tree.text("sessionId"); q.ID != want {
			t.Errorf("%q: got the ID %q, want %q", body, q.ID, want)
		}
	})
}
