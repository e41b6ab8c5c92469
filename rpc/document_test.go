package rpc_test

import (
	"os"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/session"
	"github.com/cloakroom-dev/cloakroom/rpc/pb/sessionv2"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// FuzzDocument: a document becomes the message that protobuf's own JSON reader makes of it.
func FuzzDocument(f *testing.F) {
	sample, err := os.ReadFile("testdata/session.json")
	if err != nil {
		f.Fatal(err)
	}
	s, _, err := session.DecodeJSON(sample, true)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(session.AppendJSON(nil, s))
	f.Add(session.AppendJSON(nil, &session.Session{ID: "1", Metadata: map[string][]byte{"": nil, "k\"\\\n\x01é": {0, 255}}, ExpirationDate: session.Never}))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := session.ParseDoc(text)
		if err != nil {
			return
		}
		doc := session.AppendJSON(nil, s)
		field, rest, err := session.AppendProto(nil, 2, append(doc, ",rest"...))
		if err != nil || string(rest) != ",rest" {
			t.Fatalf("%s: %v, rest %q", doc, err, rest)
		}
		number, kind, n := protowire.ConsumeTag(field)
		body, m := protowire.ConsumeBytes(field[n:])
		if number != 2 || kind != protowire.BytesType || n+m != len(field) {
			t.Fatalf("%s: the field %d has %d of %d bytes", doc, number, n+m, len(field))
		}
		got, want := new(sessionv2.Session), new(sessionv2.Session)
		if err := proto.Unmarshal(body, got); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if err := protojson.Unmarshal(doc, want); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		if !proto.Equal(got, want) {
			t.Errorf("%s\ngot  %v\nwant %v", doc, got, want)
		}
	})
}

// A document that was not written here is refused.
func TestDocument_NotCanonical(t *testing.T) {
	for _, doc := range []string{"", "{}", `{"id":"1"}`, `{ "id":"1"}`, `{"id":"1","creationDate":"x","changeDate":"y","sequence":"1"}`} {
		if _, _, err := session.AppendProto(nil, 1, []byte(doc)); err == nil {
			t.Errorf("%s is taken", doc)
		}
	}
}

func BenchmarkDocument(b *testing.B) {
	sample, err := os.ReadFile("testdata/session.json")
	if err != nil {
		b.Fatal(err)
	}
	s, _, err := session.DecodeJSON(sample, true)
	if err != nil {
		b.Fatal(err)
	}
	doc := session.AppendJSON(nil, s)
	var out []byte
	b.SetBytes(int64(len(doc)))
	for b.Loop() {
		out, _, _ = session.AppendProto(out[:0], 1, doc)
	}
}
