package upstream_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/upstream"
)

func TestParseEventKeys(t *testing.T) {
	const oldKey, newKey = "an-old-signing-key", "a-new-signing-key"
	k, err := upstream.ParseEventKeys([]byte("\n" + oldKey + "\r\n\n  " + newKey + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, key := range k.All() {
		all = append(all, string(key))
	}
	if k.Len() != 2 || !slices.Equal(all, []string{oldKey, newKey}) {
		t.Errorf("%d keys", k.Len())
	}
	if text := fmt.Sprintf("%v %+v %#v %s", k, k, k, k.LogValue()); strings.Contains(text, "signing-key") {
		t.Errorf("I6: %s", text)
	}
	if one, err := upstream.ParseEventKeys([]byte(oldKey)); err != nil || one.String() != "1 signing key" || k.String() != "2 signing keys" {
		t.Errorf("%v and %v, %v", one, k, err)
	}
	for text, want := range map[string]string{
		"":                       "has no signing key",
		"\n \n":                  "has no signing key",
		oldKey + "\nshort12":     "line 2: a signing key must have 8 to 512",
		strings.Repeat("x", 513): "line 1: a signing key must have 8 to 512",
		"two words in it":        "without spaces",
		"schlüssel-eins":         "printable characters of ASCII",
		strings.Repeat(oldKey+"\n", upstream.MaxEventKeys+1): "has more than 16 keys",
	} {
		if _, err := upstream.ParseEventKeys([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "words") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
