package protojson

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// message has a field of each kind.
type message struct {
	Text    string
	Maybe   *string
	Flag    bool
	Big     uint64
	Small   uint32
	Names   []string
	Data    []byte
	At      time.Time
	For     time.Duration
	Method  int32
	Entries map[string][]byte
	Child   *message
	Items   []*message
	Member  string
}

var methods = map[string]int32{"METHOD_EQUALS": 0, "METHOD_GREATER": 1}

func (m *message) decode(r *Reader) error {
	return r.Object(func(name string) error {
		switch name {
		case "text":
			return r.String(&m.Text)
		case "maybeText":
			return r.OptionalString(&m.Maybe)
		case "flag":
			return r.Bool(&m.Flag)
		case "big":
			return r.Uint64(&m.Big)
		case "small":
			return r.Uint32(&m.Small)
		case "names":
			return r.Strings(&m.Names)
		case "data":
			return r.Bytes(&m.Data)
		case "at":
			return r.Time(&m.At)
		case "for":
			return r.Duration(&m.For)
		case "method":
			return r.Enum(&m.Method, methods)
		case "entries":
			return r.Map(func(key string) error {
				var v []byte
				err := r.Bytes(&v)
				if m.Entries == nil {
					m.Entries = map[string][]byte{}
				}
				m.Entries[key] = v
				return err
			})
		case "child":
			if r.Null() {
				return nil
			}
			m.Child = new(message)
			return m.Child.decode(r)
		case "items":
			return r.Array(func(int) error {
				m.Items = append(m.Items, new(message))
				return m.Items[len(m.Items)-1].decode(r)
			})
		case "oneA", "oneB":
			if ok, err := r.Member(&m.Member, name); !ok {
				return err
			}
			return r.Skip()
		}
		return nil
	})
}

func decode(body string) (*message, error) {
	m := new(message)
	return m, Decode([]byte(body), m.decode)
}

func TestDecode(t *testing.T) {
	f := func(body string, want message) {
		t.Helper()
		got, err := decode(body)
		if err != nil {
			t.Errorf("%s: %v", body, err)
			return
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\n got %+v\nwant %+v", body, *got, want)
		}
	}
	empty, x := "", "x"
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

	f("", message{})
	f(" \r\n\t", message{})
	f("{}", message{})
	f(` { "text" : "a" } `, message{Text: "a"})
	f(`{"text":"\"\\\/\b\f\n\r\té😀 ü"}`, message{Text: "\"\\/\b\f\n\r\té😀 ü"})
	f(`{"text":""}`, message{})
	f(`{"\u0074ext":"escaped name"}`, message{Text: "escaped name"})
	f(`{"text":null,"maybeText":null,"flag":null,"big":null,"small":null,"names":null,"data":null,"at":null,
		"for":null,"method":null,"entries":null,"child":null,"items":null,"oneA":null,"oneB":{}}`, message{Member: "oneB"})

	// Names are lowerCamel or snake_case; others are unknown, and unknown fields are skipped.
	f(`{"maybeText":"x"}`, message{Maybe: &x})
	f(`{"maybe_text":""}`, message{Maybe: &empty})
	f(`{"MaybeText":1,"maybe_Text":2,"maybetext":3,"_maybe_text":4,"maybe_text_":5,"maybe__text":6,"TEXT":7,"":8}`, message{})
	f(`{"no":{"text":["x",{"y":null}],"deep":[[[]]]},"text":"a","other":-1.5e300}`, message{Text: "a"})
	f(`{"unknown_name":1,"unknownName":2}`, message{})

	f(`{"flag":true}`, message{Flag: true})
	f(`{"flag":false}`, message{})

	f(`{"big":18446744073709551615}`, message{Big: 18446744073709551615})
	f(`{"big":"18446744073709551615"}`, message{Big: 18446744073709551615})
	f(`{"big":1.0}`, message{Big: 1})
	f(`{"big":"1e3"}`, message{Big: 1000})
	f(`{"big":12.5e1}`, message{Big: 125})
	f(`{"big":1200E-2}`, message{Big: 12})
	f(`{"big":1.8446744073709551615e+19}`, message{Big: 18446744073709551615})
	f(`{"big":0e999999999999}`, message{})
	f(`{"big":0.000}`, message{})
	f(`{"big":1e19}`, message{Big: 10000000000000000000})
	f(`{"small":4294967295}`, message{Small: 4294967295})
	f(`{"small":"7"}`, message{Small: 7})

	f(`{"names":[]}`, message{Names: []string{}})
	f(`{"names":["a","","a"]}`, message{Names: []string{"a", "", "a"}})

	f(`{"data":""}`, message{Data: []byte{}})
	f(`{"data":"+/+/"}`, message{Data: []byte{0xfb, 0xff, 0xbf}})
	f(`{"data":"-_-_"}`, message{Data: []byte{0xfb, 0xff, 0xbf}})
	f(`{"data":"YQ=="}`, message{Data: []byte("a")})
	f(`{"data":"YQ"}`, message{Data: []byte("a")})
	f(`{"data":"_w"}`, message{Data: []byte{0xff}})
	f(`{"data":"\/w=="}`, message{Data: []byte{0xff}})

	f(`{"at":"2026-03-04T05:06:07Z"}`, message{At: at})
	f(`{"at":"2026-03-04T07:36:07+02:30"}`, message{At: at})
	f(`{"for":"1.5s"}`, message{For: 1500 * time.Millisecond})

	f(`{"method":"METHOD_GREATER"}`, message{Method: 1})
	f(`{"method":1}`, message{Method: 1})
	f(`{"method":1.0}`, message{Method: 1})

	f(`{"entries":{}}`, message{})
	f(`{"entries":{"b_c":"YQ","bC":"Yg","":""}}`, message{Entries: map[string][]byte{"b_c": []byte("a"), "bC": []byte("b"), "": {}}})
	f(`{"child":{}}`, message{Child: &message{}})
	f(`{"child":{"child":{"text":"a"}},"text":"b"}`, message{Child: &message{Child: &message{Text: "a"}}, Text: "b"})
	f(`{"items":[{"big":1},{}]}`, message{Items: []*message{{Big: 1}, {}}})
	f(`{"oneA":{"x":1}}`, message{Member: "oneA"})
}

func TestDecodeErrors(t *testing.T) {
	f := func(body, want string) {
		t.Helper()
		_, err := decode(body)
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%s: got the error %v, want an *Error", body, err)
			return
		}
		if got := err.Error(); got != "proto: (line "+want {
			t.Errorf("%s:\n got %s\nwant proto: (line %s", body, got, want)
		}
	}

	f(`null`, "1:1): must be an object")
	f(`[]`, "1:1): must be an object")
	f(`"{}"`, "1:1): must be an object")
	f(`{`, "1:2): unexpected end")
	f(`{"text"`, "1:8): text: unexpected end")
	f(`{"text":`, "1:9): text: unexpected end")
	f(`{"text":"abc`, "1:13): text: unexpected end")
	f(`{"names":["a"`, "1:14): names[1]: unexpected end")
	f(`{}{}`, "1:3): unexpected data after the end of the object")
	f(`{} x`, "1:4): unexpected data after the end of the object")
	f(`{,}`, "1:2): syntax error")
	f(`{"text":"a",}`, "1:12): syntax error")
	f(`{"text" "a"}`, "1:9): text: syntax error")
	f(`{"big":01}`, "1:9): syntax error")
	f(`{"big":+1}`, "1:8): big: syntax error")
	f(`{"no":nul}`, "1:10): no: syntax error")
	f(`{1:2}`, "1:2): a name must be a string")
	f("\ufeff{}", "1:1): syntax error")
	f("{\"text\":\"a\nb\"}", "1:11): text: syntax error")
	f(`{"text":"\x"}`, "1:10): text: invalid escape sequence")
	f(`{"text":"\ud800"}`, "1:10): text: unpaired surrogate")
	f(`{"text":"\udc00\ud800"}`, "1:10): text: unpaired surrogate")
	f("{\"text\":\"a\xffb\"}", "1:11): text: invalid UTF-8")
	f("{\"\xff\":1}", "1:3): invalid UTF-8")
	f(`{"no":{"a":"\ud800"}}`, "1:13): no: unpaired surrogate")

	f(`{"text":"a","text":"b"}`, "1:13): text: is given twice")
	f(`{"no":1,"no":1}`, "1:9): no: is given twice")
	f(`{"no":{"a":1,"a":2}}`, "1:14): no.a: is given twice")
	f(`{"no":[{"a":1,"a":2}]}`, "1:15): no.0.a: is given twice")
	f(`{"`+strings.Repeat("x", 40)+`":1,"`+strings.Repeat("x", 40)+`":2}`, "1:47): "+strings.Repeat("x", 40)+": is given twice")
	f(`{"`+strings.Repeat("x", 41)+`":1,"`+strings.Repeat("x", 41)+`":2}`, "1:48): …: is given twice")
	f(`{"a b":1,"a b":2}`, "1:10): …: is given twice")
	f(`{"entries":{"a":"","\u0061":""}}`, `1:20): entries["a"]: is given twice`)
	f(`{"entries":{"":"","":""}}`, `1:19): entries[""]: is given twice`)
	f(`{"maybeText":"a","maybe_text":"b"}`, "1:18): maybeText: is given twice")
	f(`{"maybe_text":null,"maybeText":null}`, "1:20): maybeText: is given twice")
	f(`{"child":{},"items":[{"maybe_text":"","child":{"maybe_text":""},"maybeText":""}]}`, "1:65): items[0].maybeText: is given twice")

	f(`{"text":1}`, "1:9): text: must be a string")
	f("{\n\n  \"täxt\": 1, \"text\"  :  {}}", "3:25): text: must be a string")
	f("{\"ü\":1,\"text\":1}", "1:15): text: must be a string")
	f(`{"names":["a",1]}`, "1:15): names[1]: must be a string")
	f(`{"names":[null]}`, "1:11): names[0]: must not be null")
	f(`{"names":"a"}`, "1:10): names: must be an array")
	f(`{"items":[{},null]}`, "1:14): items[1]: must not be null")
	f(`{"items":[{"child":{"flag":"true"}}]}`, "1:28): items[0].child.flag: must be true or false")
	f(`{"entries":{"k y":null}}`, `1:19): entries["k y"]: must not be null`)
	f(`{"entries":{"`+strings.Repeat("k", 41)+`":1}}`, `1:57): entries[…]: must be a base64 string`)
	f(`{"entries":[]}`, "1:12): entries: must be an object")
	f(`{"child":7}`, "1:10): child: must be an object")
	f(`{"oneA":1,"oneB":1}`, "1:18): oneB: must not be given together with oneA")

	const whole = "must be a whole number"
	for _, text := range []string{`1.5`, `"1.5"`, `1e-1`, `""`, `" 1"`, `"1 "`, `"01"`, `"+1"`, `"0x1"`, `"1_0"`, `".5"`, `"1."`, `"1e"`, `"1e+"`, `true`, `[]`, `"e1"`, `1e-99999999999999999999`} {
		f(`{"big":`+text+`}`, "1:8): big: "+whole)
	}
	f(`{"big":-1}`, "1:8): big: must not be negative")
	f(`{"big":"-0"}`, "1:8): big: must not be negative")
	f(`{"big":18446744073709551616}`, "1:8): big: must be at most 18446744073709551615")
	f(`{"big":99999999999999999999}`, "1:8): big: must be at most 18446744073709551615")
	f(`{"big":1e99999999999999999999}`, "1:8): big: must be at most 18446744073709551615")
	f(`{"small":4294967296}`, "1:10): small: must be at most 4294967295")

	for _, text := range []string{`"a"`, `"YQ="`, `"YQ==="`, `"=="`, `"Y Q="`, `"YW\nJj"`, `"+_+_"`, `"YQ==YQ=="`, `"YWJ\u00e4"`} {
		f(`{"data":`+text+`}`, "1:9): data: must be valid base64")
	}
	f(`{"data":[1]}`, "1:9): data: must be a base64 string")
	f(`{"method":"METHOD_NONE"}`, "1:11): method: must be the name of an enum value")
	f(`{"method":"1"}`, "1:11): method: must be the name of an enum value")
	f(`{"method":2}`, "1:11): method: must be the number of an enum value")
	f(`{"method":-1}`, "1:11): method: must be the number of an enum value")
	f(`{"method":0.5}`, "1:11): method: must be the number of an enum value")
	f(`{"method":true}`, "1:11): method: must be the name or the number of an enum value")
	f(`{"at":0}`, "1:7): at: must be an RFC 3339 timestamp")
	f(`{"for":1}`, "1:8): for: must be a duration string")
}

func TestDecodeDepth(t *testing.T) {
	nested := func(depth int) string {
		return strings.Repeat(`{"child":`, depth-1) + `{}` + strings.Repeat(`}`, depth-1)
	}
	unknown := func(depth int) string {
		return `{"no":` + strings.Repeat(`[`, depth-1) + strings.Repeat(`]`, depth-1) + `}`
	}
	for _, body := range []string{nested(MaxDepth), unknown(MaxDepth)} {
		if _, err := decode(body); err != nil {
			t.Errorf("%d levels: %v", MaxDepth, err)
		}
	}
	for _, body := range []string{nested(MaxDepth + 1), unknown(MaxDepth + 1), nested(5000), unknown(50000), `{"no":` + strings.Repeat("[", 1<<20)} {
		_, err := decode(body)
		if err == nil || !strings.HasSuffix(err.Error(), "must not be nested deeper than 64 levels") {
			t.Errorf("%.40s: got the error %v", body, err)
		}
	}
}

// No error repeats what was sent, which may be a secret.
func TestI6_ErrorsDoNotRepeatValues(t *testing.T) {
	const secret = "hunter2"
	for _, field := range []string{"text", "flag", "big", "small", "names", "data", "at", "for", "method", "entries", "child", "items"} {
		for _, body := range []string{
			`{"%s":"hunter2"}`, `{"%s":["hunter2"]}`, `{"%s":{"a":"hunter2"}}`, `{"%s":"hunter2}`, `{"%s":"hunter2",}`, `{"%s":hunter2}`,
			`{"%s":"hunter2\ud800"}`, "{\"%s\":\"hunter2\xff\"}", `{"%s":"hunter2"} hunter2`, `{"%s":"hunter2","` + secret + `!":1,"` + secret + `!":1}`,
		} {
			body = fmt.Sprintf(body, field)
			if _, err := decode(body); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", body, err)
			}
		}
	}
}

// What a decoder was given stays as it is when the body is used again. (I8)
func TestI8_NothingPointsIntoTheBody(t *testing.T) {
	body := []byte(`{"text":"text","maybeText":"maybe","names":["name"],"data":"ZGF0YQ","entries":{"key":"ZGF0YQ"},"oneA":1}`)
	m := new(message)
	if err := Decode(body, m.decode); err != nil {
		t.Fatal(err)
	}
	for i := range body {
		body[i] = '#'
	}
	maybe := "maybe"
	want := message{Text: "text", Maybe: &maybe, Names: []string{"name"}, Data: []byte("data"), Entries: map[string][]byte{"key": []byte("data")}, Member: "oneA"}
	if !reflect.DeepEqual(*m, want) {
		t.Errorf("got %+v, want %+v", *m, want)
	}
}

// A Reader that has met more field names than it remembers still reads them right.
func TestManyNames(t *testing.T) {
	for round := range 3 {
		var b strings.Builder
		b.WriteString(`{"maybe_text":"x"`)
		for i := range 2 * maxNames {
			fmt.Fprintf(&b, `,"unknown_%d_%d":1`, round, i)
		}
		b.WriteString(`,"text":"y"}`)
		m, err := decode(b.String())
		if err != nil || m.Text != "y" || m.Maybe == nil || *m.Maybe != "x" {
			t.Errorf("round %d: got %+v, %v", round, m, err)
		}
	}
}

func TestLowerCamel(t *testing.T) {
	f := func(in, want string) {
		t.Helper()
		if got := lowerCamel(in); got != want {
			t.Errorf("lowerCamel(%q) = %q, want %q", in, got, want)
		}
	}
	f("", "")
	f("id", "id")
	f("creation_date", "creationDate")
	f("web_auth_n", "webAuthN")
	f("otp_sms", "otpSms")
	f("token_sha256", "tokenSha256")
	f("webAuthN", "webAuthN")
	f("webAuth_n", "webAuth_n")
	f("a_1", "a_1")
	f("_a", "_a")
	f("a_", "a_")
	f("a__b", "a__b")
	f("ä_b", "ä_b")
}

// A message without one of its members is as if that had never been written.
func TestWithout(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":1}`:                         `{}`,
		` { "a" : {"b":[1,"a"]} } `:       ` {  } `,
		`{"a":1,"b":2}`:                   `{"b":2}`,
		`{"a":1, "b":2}`:                  `{"b":2}`,
		`{"b":2,"a":1}`:                   `{"b":2}`,
		"{\"b\":2,\n \"a\" : 1 ,\"c\":3}": `{"b":2 ,"c":3}`,
		`{"b":",","\u0061":true}`:         `{"b":","}`,
		`{"b":{"a":1},"c":["a"]}`:         `{"b":{"a":1},"c":["a"]}`,
		`{"x":1,"x":2,"a":3}`:             `{"x":1,"x":2,"a":3}`,
		`{"a":1`:                          `{"a":1`,
		`{"a":1,"a":2}`:                   `{"a":1,"a":2}`,
		``:                                ``,
	} {
		before := []byte(body)
		got := Without(before, "a")
		if string(got) != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
		for i := range got {
			got[i] = 'x'
		}
		if string(before) != body {
			t.Errorf("%s became %s", body, before)
		}
	}
}
