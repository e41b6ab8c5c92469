package protojson

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-json/jsontext"
)

// Texts that are split, and their tokens; and others, which the library reads.
func TestTokens_Split(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		var tokens tokens
		tokens.begin([]byte(text), true)
		if split := tokens.body != nil; split != (want != nil) {
			t.Errorf("%s: split %v", text, split)
			return
		}
		var got []string
		for _, token := range tokens.all {
			if want != nil {
				got = append(got, text[token.start:token.end])
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	f(`{}`, "{", "}")
	f(" {\r\n\t\"a\" : [ ] } ", "{", `"a"`, "[", "]", "}")
	f(`{"a":{"b":1,"c":[true,false,null,0,12,"x y~"]},"b":{"b":""}}`,
		"{", `"a"`, "{", `"b"`, "1", `"c"`, "[", "true", "false", "null", "0", "12", `"x y~"`, "]", "}", `"b"`, "{", `"b"`, `""`, "}", "}")
	many := func(n int, begin, part, end string) string {
		var b strings.Builder
		b.WriteString(begin)
		for i := range n {
			fmt.Fprintf(&b, part, i)
		}
		return b.String() + end
	}
	for _, text := range []string{many(mostNames-1, `{`, `"%d":1,`, `"x":1}`), many(mostTokens-3, `[`, "%d,", `1]`)} {
		var tokens tokens
		if tokens.begin([]byte(text), true); tokens.body == nil {
			t.Errorf("%.20s… was not split", text)
		}
	}
	f(`[{"a":1},{"a":2}]`, "[", "{", `"a"`, "1", "}", "{", `"a"`, "2", "}", "]")
	for _, text := range []string{
		many(mostNames, `{`, `"%d":1,`, `"x":1}`), many(mostTokens-2, `[`, "%d,", `1]`), // too many names, too many tokens
		``, ` `, `{`, `}`, `[`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{"a"}`, `{,}`, `[,]`, `[1,]`, `[1 2]`, `{"a" 1}`, `{"a":1 "b":2}`, `{]`, `[}`, `{}{}`, `{},`, `{} x`,
		`{"a":tru}`, `{"a":truex}`, `{"a":01}`, `{"a":-1}`, `{"a":1.0}`, `{"a":1e1}`, `{"a":1x}`, `{"a":x}`, `{1:2}`, `{a:1}`, `{"a":"`, `{"a":"\n"}`, `{"a":"\u0041"}`, `{"a":"ä"}`, "{\"a\":\"\x7f\"}",
		"{\"a\":\"\n\"}", `{"a":1,"a":2}`, `{"x":{"a":1,"b":2,"a":3}}`, `[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]`,
	} {
		f(text)
	}
}

// After a text that was split comes one that is not, and the other way round.
func TestTokens_AreUsedAgain(t *testing.T) {
	var tokens tokens
	for _, text := range []string{`{"a":1}`, `{"a":"ä"}`, `{`, `{"a":1}`, `{"a":1}`, `{"a":1.5}`} {
		for _, ordinary := range []bool{true, false} {
			tokens.begin([]byte(text), ordinary)
			kind, depth := tokens.peekKind(), tokens.stackDepth()
			if err := tokens.readToken(); kind != jsontext.KindBeginObject || depth != 0 || err != nil || tokens.stackDepth() != 1 || tokens.offset() != 1 {
				t.Errorf("%s: %v at depth %d, %v, then depth %d at %d", text, kind, depth, err, tokens.stackDepth(), tokens.offset())
			}
			if raw, err := tokens.readScalar(); (string(raw) == `"a"`) != (text != "{") || (err == nil) != (text != "{") {
				t.Errorf("%s: %s, %v", text, raw, err)
			}
			tokens.end()
		}
	}
}
