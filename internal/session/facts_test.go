package session

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// checkFacts compares what FactsOf reads off doc with the facts of s.
func checkFacts(t *testing.T, doc []byte, s *Session) {
	t.Helper()
	got := Facts{ID: "old", UserID: "old", OrgID: "old", AgentID: "old", Sequence: 99, Creator: "kept"}
	want := s.Facts()
	want.Creator = "kept"
	if err := FactsOf(doc, &got); err != nil || got != want {
		t.Errorf("%s:\n got %+v, %v\nwant %+v", doc, got, err, want)
	}
}

func TestFactsOf(t *testing.T) {
	doc, err := os.ReadFile("testdata/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	checkFacts(t, doc, sample())

	// The names of facts within values are no facts.
	s := sample()
	trap := `"},"userAgent":{"fingerprintId":"trap`
	s.Factors.User.LoginName, s.Factors.User.ID = `x","id":"trap`, `\"\\`
	s.Factors.User.OrganizationID = "\x00\b\f\n\r\t\x1f\x7f"
	s.UserAgent.Description = &trap
	s.Metadata[trap] = []byte(trap)
	s.UserAgent.Header = map[string][]string{trap: {trap, `"expirationDate":"2026-01-01T00:00:00Z"}`, `\`}}
	checkFacts(t, AppendJSON(nil, s), s)
}

// A document in another form is refused, whatever JSON may say about it.
func TestFactsOfRefuses(t *testing.T) {
	f := func(doc string) {
		t.Helper()
		facts := new(Facts)
		if err := FactsOf([]byte(doc), facts); err == nil {
			t.Errorf("%s: got %+v", doc, facts)
		}
	}
	const good = `{"id":"a","creationDate":"2026-01-02T03:04:05Z","changeDate":"2026-01-02T03:04:05Z","sequence":"1",` +
		`"factors":{"user":{"id":"u","organizationId":"o"},"password":{}},"metadata":{"k":"eA=="},"userAgent":{"fingerprintId":"f","header":{"h":{"values":["v"]}}},` +
		`"expirationDate":"2026-01-02T03:04:05Z"}`
	if err := FactsOf([]byte(good), new(Facts)); err != nil {
		t.Fatal(err)
	}
	for i := range len(good) {
		f(good[:i])
	}
	swap := func(old, new string) {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%s is not in the document", old)
		}
		f(strings.Replace(good, old, new, 1))
	}
	swap(`{"id"`, ` {"id"`)
	swap(`{"id"`, `{,"id"`)
	swap(`"id":"a",`, `"id":"a"`)
	swap(`"id":"a"`, `"id": "a"`)
	swap(`"id":"a"`, `"id":null`)
	swap(`"id":"a"`, "\"id\":\"\xff\"")
	swap(`"id":"a"`, "\"id\":\"\n\"")
	swap(`"id":"a"`, `"id":"\x"`)
	swap(`"id":"a"`, `"id":"\u00e9"`)
	swap(`"id":"a"`, `"id":"\u001"`)
	swap(`"id":"a"`, `"id":"\ud83d\ude00"`)
	swap(`"creationDate"`, `"creation_date"`)
	swap(`05Z"`, `05"`)
	swap(`"sequence":"1"`, `"sequence":1`)
	swap(`"sequence":"1"`, `"sequence":"01"`)
	swap(`"sequence":"1"`, `"sequence":""`)
	swap(`"sequence":"1"`, `"sequence":"-1"`)
	swap(`"sequence":"1"`, `"sequence":"18446744073709551616"`)
	swap(`"sequence":"1"`, `"sequence":"99999999999999999999"`)
	swap(`"sequence":"1"`, `"sequence":"1","more":1`)
	swap(`"user":{"id":"u","organizationId":"o"},"password":{}`, `"password":{},"user":{"id":"u","organizationId":"o"}`)
	swap(`"id":"u","organizationId":"o"`, `"organizationId":"o","id":"u"`)
	swap(`"id":"u"`, `"id":"u","id":"v"`)
	swap(`"password":{}`, `"password":null`)
	swap(`"password":{}`, `"password":{},"secret":{}`)
	swap(`"metadata":{"k":"eA=="}`, `"metadata":[]`)
	swap(`"fingerprintId":"f",`, `"ip":"i","fingerprintId":"f",`)
	swap(`"fingerprintId":"f",`, `"fingerprint_id":"f",`)
	swap(`"fingerprintId":"f",`, `"fingerprintId":null,`)
	swap(`"header":{`, `"more":{`)
	swap(`,"expirationDate"`, `,"expiration_date"`)
	f(good + " ")
	f(good + "{}")
	f("null")
}

// FuzzFactsOf compares FactsOf with ParseDoc: a document that AppendJSON may
// have written has its facts read, and no document ever has wrong ones.
func FuzzFactsOf(f *testing.F) {
	f.Add(AppendJSON(nil, sample()))
	for _, s := range docSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		var got Facts
		factsErr := FactsOf(doc, &got)
		s, err := ParseDoc(doc)
		if err != nil {
			return
		}
		if factsErr == nil && got != s.Facts() {
			t.Fatalf("%q: got %+v, want %+v", doc, got, s.Facts())
		}
		if factsErr != nil && bytes.Equal(AppendJSON(nil, s), doc) {
			t.Fatalf("%q is canonical: %v", doc, factsErr)
		}
	})
}

func BenchmarkFactsOf(b *testing.B) {
	doc := AppendJSON(nil, sample())
	var f Facts
	b.ReportAllocs()
	for b.Loop() {
		if err := FactsOf(doc, &f); err != nil {
			b.Fatal(err)
		}
	}
}
