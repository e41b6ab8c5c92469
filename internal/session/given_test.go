package session

import (
	"errors"
	"testing"
)

// What AppendGivenJSON writes, DecodeJSON reads back, with what is stored beside the document.
func TestAppendGivenJSON_IsReadBack(t *testing.T) {
	for _, s := range []Session{
		{ID: "1", CreationDate: 1, ChangeDate: 2, Sequence: 3, ExpirationDate: Never},
		{ID: "1", CreationDate: 1, ChangeDate: 2, Sequence: 3, ExpirationDate: 9e12, Creator: "a \"b\"\u2028<"},
		{ID: "1", CreationDate: 1, ChangeDate: 2, Sequence: 3, ExpirationDate: Never, Token: TokenHash{1}},
		{ID: "1", CreationDate: 1, ChangeDate: 2, Sequence: 3, ExpirationDate: Never, Token: HashToken("x"), TokenForeign: true, Creator: "c"},
	} {
		line := AppendGivenJSON([]byte("before"), &Stored{Doc: AppendJSON(nil, &s), Facts: s.Facts(), Token: s.Token, TokenForeign: s.TokenForeign})
		got, given, err := DecodeJSON(line[len("before"):], false)
		if err != nil || string(AppendJSON(nil, got)) != string(AppendJSON(nil, &s)) || got.Creator != s.Creator || got.Token != s.Token || got.TokenForeign != s.TokenForeign || given.TokenSHA256 == s.Token.IsZero() {
			t.Errorf("%s: %+v, %v", line, got, err)
		}
	}
}

// Only a token can carry the ID.
func TestDecodeJSON_TokenCarriesID(t *testing.T) {
	const hash = `"tokenSha256":"0100000000000000000000000000000000000000000000000000000000000000"`
	f := func(body string, foreign bool) {
		t.Helper()
		for _, text := range []string{"{" + body + "}", `{"session":{` + body + "}}"} {
			if s, _, err := DecodeJSON([]byte(text), false); err != nil || s.TokenForeign != foreign {
				t.Errorf("%s: foreign %v, %v", text, s.TokenForeign, err)
			}
		}
	}
	f(hash, true)
	f(hash+`,"tokenCarriesId":false`, true)
	f(`"tokenCarriesId":true,`+hash, false)
	f(hash+`,"tokenCarriesId":true`, false)
	_, _, err := DecodeJSON([]byte(`{"tokenCarriesId":true}`), false)
	if e, ok := errors.AsType[*InvalidError](err); !ok || e.Field != "tokenCarriesId" {
		t.Errorf("got %v", err)
	}
	if _, _, err := DecodeJSON([]byte(`{"tokenCarriesId":"yes"}`), false); err == nil {
		t.Error("a text is taken for true")
	}
}
