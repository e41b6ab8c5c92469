package rpc

import (
	"bytes"
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

// A Struct is what protobuf's own reader of JSON makes of an object.
func FuzzStruct(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"active":true,"subject":"u1","extra":{"session_id":"s1","factors":["password","totp"],"exp":1796069035,"none":null,"no":false,"empty":[]}}`,
		`{"é\"\\\u0041\n":"x\ud83d\ude00","n":-1.5e3,"deep":[[{"a":[1,2]}]]}`, `{"a":1,"a":2}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := new(structpb.Struct)
		var compact bytes.Buffer
		if protojson.Unmarshal(text, want) != nil || json.Compact(&compact, text) != nil {
			return
		}
		field, err := appendStruct(nil, 4, compact.Bytes())
		if err != nil {
			t.Fatalf("%s: %v", compact.Bytes(), err)
		}
		body, n := protowire.ConsumeBytes(field[1:])
		got := new(structpb.Struct)
		if err := proto.Unmarshal(body, got); err != nil || n != len(field)-1 || field[0] != 4<<3|2 {
			t.Fatalf("%s: %v", compact.Bytes(), err)
		}
		if !proto.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", compact.Bytes(), got, want)
		}
	})
}

func TestStruct_NotCompact(t *testing.T) {
	for _, text := range []string{"", "[]", "{", `{"a"`, `{"a":`, `{"a":1`, `{"a":x}`, `{"a":"b`, `{"a":"\`, `{"a":"\x"}`, `{"a":[1}`, `{"a":1}}`, `{ "a":1}`, `{"a":1,}`, `{,}`} {
		if got, err := appendStruct(nil, 1, []byte(text)); err == nil {
			t.Errorf("%s is taken as %x", text, got)
		}
	}
}
