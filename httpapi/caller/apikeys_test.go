package caller

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
)

const (
	hash1 = "1111111111111111111111111111111111111111111111111111111111111111"
	hash2 = "2222222222222222222222222222222222222222222222222222222222222222"
)

func TestParseAPIKeys(t *testing.T) {
	good := func(text string, want int) *APIKeys {
		t.Helper()
		k, err := ParseAPIKeys([]byte(text))
		if err != nil || k.Len() != want {
			t.Fatalf("%q: got %d keys, %v", text, k.Len(), err)
		}
		return k
	}
	// A file that was cut short must not replace the keys.
	for _, empty := range []string{"", "# nothing yet\n", "---\n", "keys:\n", "keys: []\n"} {
		if k, err := ParseAPIKeys([]byte(empty)); k != nil || err == nil || !strings.Contains(err.Error(), "has no keys") {
			t.Errorf("%q: got %v, %v", empty, k, err)
		}
	}
	secret, hash := NewAPIKeySecret()
	k := good(`
keys:
  # who may read
  - name: gateway
    userId: svc-gateway
    agentId: fp
    permissions: [session.read, session.write@org-1, "session.write@org-2", session.write@org-1]
    sha256: `+strings.ToUpper(hash)+`
  - {name: other, userId: "42", sha256: `+hash2+`}
`, 2)
	c := k.find([]byte(secret))
	if c == nil || c.UserID != "svc-gateway" || c.AgentID != "fp" || !c.Read.All || c.Write.All || len(c.Write.Orgs) != 2 ||
		!c.Write.Covers("org-2") || c.Write.Covers("org-3") || c.Delete.All || c.Delete.Orgs != nil {
		t.Errorf("got %+v", c)
	}
	if k.find([]byte("ck_wrong")) != nil || k.find(nil) != nil || k.find([]byte(hash)) != nil || (*APIKeys)(nil).find([]byte(secret)) != nil || (*APIKeys)(nil).Len() != 0 {
		t.Error("found what is no key")
	}
}

// All faults are told at once, each with its field and its line.
func TestParseAPIKeysFaults(t *testing.T) {
	for text, faults := range map[string][]string{
		"keys: 3":                         {"keys: line 1: must be a list"},
		"key: []":                         {"the file: line 1: a field is not known here; known are keys"},
		"- a":                             {"must have fields"},
		"keys: [":                         {"not YAML"},
		"keys: []\n---\nkeys: []\n":       {"more than one YAML document"},
		"keys: []\nkeys: []\n":            {"the file: line 2: a field is given twice"},
		"keys:\n- hello\n":                {"keys[0]: line 2: must have fields"},
		"keys:\n- name: a\n  name: b\n":   {"keys[0]: line 3: a field is given twice"},
		"keys:\n- name: a\n  secret: x\n": {"keys[0]: line 3: a field is not known here; known are agentId, burst, name, permissions, rate, sha256, userId", "userId: is missing", "sha256: is missing"},
		"keys:\n- {name: [a], permissions: session.read, userId: u, sha256: " + hash1 + "}\n": {"keys[0].name: line 2: must be a text", "permissions: line 2: must be a list"},
		"keys:\n- {name: a, userId: u, sha256: " + hash1 + "}\n- {name: a, userId: '', permissions: [session.admin, 'session.read@'], sha256: " + hash1 + "}\n- {userId: " +
			strings.Repeat("x", 201) + ", sha256: abc}\n": {
			"keys[1].name: line 3: is also that of keys[0]", "keys[1].userId: line 3: must have 1 to 200 characters", "keys[1].permissions[0]: line 3: must be session.read, session.write or session.delete",
			"keys[1].permissions[1]: line 3: must have an organization", "keys[1].sha256: line 3: is also that of another",
			"keys[2].name: is missing", "keys[2].userId: line 4: must have 1 to 200 characters", "keys[2].sha256: line 4: must be the SHA-256",
		},
	} {
		k, err := ParseAPIKeys([]byte(text))
		if err == nil || k != nil {
			t.Errorf("%q: got %d keys, %v", text, k.Len(), err)
			continue
		}
		for _, f := range faults {
			if !strings.Contains(err.Error(), f) {
				t.Errorf("%q: the error does not say %s:\n%v", text, f, err)
			}
		}
	}
}

// A secret that was pasted into the wrong place of a keys file stands in no
// fault, which is logged.
func TestI6_ParseAPIKeysFaultsRepeatNothing(t *testing.T) {
	for _, text := range []string{
		"ck_pasted", "ck_pasted: x", "ck_pasted: x\nck_pasted: y", "keys: ck_pasted", "keys: *ck_pasted", "keys:\n- ck_pasted", "keys: [ck_pasted",
		"keys:\n- ck_pasted: x\n  ck_pasted: y", "keys:\n- \"\\ck_pasted\"", "keys: !!int ck_pasted", "%ck_pasted\n---\nkeys:",
		"keys:\n- {name: ck_pasted, name: ck_pasted}", "keys:\n- {name: [ck_pasted]}", "keys:\n- {permissions: ck_pasted}",
		"keys:\n- {name: n, permissions: [ck_pasted]}", "keys:\n- {name: n, permissions: [ck_pasted@]}", "keys:\n- {name: n, permissions: [session.read, 'ck_pasted@o']}",
		"keys:\n- {name: n, permissions: ['session.read@ck_pasted" + strings.Repeat("x", 200) + "']}", "keys:\n- {name: n, userId: u, sha256: ck_pasted}",
		"keys:\n- {name: ck_pasted}\n- {name: ck_pasted}", "keys:\n- {userId: ck_pasted" + strings.Repeat("x", 200) + "}",
	} {
		k, err := ParseAPIKeys([]byte(text))
		if err == nil || k != nil {
			t.Errorf("%q: got %d keys", text, k.Len())
		} else if strings.Contains(err.Error(), "ck_pasted") {
			t.Errorf("%q: the error has the secret:\n%v", text, err)
		}
	}
}

func TestNewAPIKeySecret(t *testing.T) {
	secret, hash := NewAPIKeySecret()
	if !regexp.MustCompile(`^ck_[A-Za-z0-9_-]{43}$`).MatchString(secret) {
		t.Errorf("the secret is %q", secret)
	}
	sum := sha256.Sum256([]byte(secret))
	if hash != hex.EncodeToString(sum[:]) {
		t.Errorf("the hash is %s", hash)
	}
	if other, _ := NewAPIKeySecret(); other == secret {
		t.Error("two secrets are the same")
	}
}

// One more entry leaves the text as its owner wrote it.
func TestAppendAPIKey(t *testing.T) {
	key := APIKey{Name: "new: #1", UserID: "123", AgentID: "fp", Permissions: []string{"session.read@a, b", "session.write"}, SHA256: hash2}
	entry := func(margin string) string {
		return margin + "- name: 'new: #1'\n" + margin + "  userId: \"123\"\n" + margin + "  agentId: fp\n" +
			margin + "  permissions: ['session.read@a, b', session.write]\n" + margin + "  sha256: \"" + hash2 + "\"\n"
	}
	old := "- name: old\n    userId: u\n    sha256: \"" + hash1 + "\""
	flush := "- name: old\n  userId: u\n  sha256: \"" + hash1 + "\""
	for before, after := range map[string]string{
		"":                                "keys:\n" + entry("  "),
		"# comment":                       "# comment\nkeys:\n" + entry("  "),
		"keys:\n":                         "keys:\n" + entry("  "),
		"keys:\n  " + old:                 "keys:\n  " + old + "\n" + entry("  "),
		"keys:\n" + flush + "\n":          "keys:\n" + flush + "\n" + entry(""),
		"# a\nkeys: # b\n  " + old + "\n": "# a\nkeys: # b\n  " + old + "\n" + entry("  "),
		"keys:\n  " + old + "\n  # end\n": "keys:\n  " + old + "\n  # end\n" + entry("  "),
	} {
		got, err := AppendAPIKey([]byte(before), key)
		if err != nil || string(got) != after {
			t.Errorf("%q became %v\n%s\nwant\n%s", before, err, got, after)
		}
	}
	// Where nothing can be appended, the error says what to do.
	for _, before := range []string{
		"keys: []\n", "# a\nkeys: [{name: old, userId: u, sha256: \"" + hash1 + "\"}] # b\n", "{}\n", "{keys: }\n", "keys: null\n", "keys: &anchor\n  " + old + "\n", "keys:\n  " + old + "\n...\n",
	} {
		if got, err := AppendAPIKey([]byte(before), key); got != nil || err != errNotAppendable {
			t.Errorf("%q became %q, %v", before, got, err)
		}
	}
}

func TestAppendAPIKeyRefuses(t *testing.T) {
	text := []byte("keys:\n- {name: old, userId: u, sha256: " + hash1 + "}\n")
	for what, k := range map[string]APIKey{
		"name: line 3: is also that":   {Name: "old", UserID: "u", SHA256: hash2},
		"sha256: line 6: is also that": {Name: "new", UserID: "u", SHA256: hash1},
		"userId":                       {Name: "new", SHA256: hash2},
		"name":                         {UserID: "u", SHA256: hash2},
		"sha256":                       {Name: "new", UserID: "u", SHA256: "x"},
		"permissions[0]":               {Name: "new", UserID: "u", Permissions: []string{"session.admin"}, SHA256: hash2},
	} {
		if got, err := AppendAPIKey(text, k); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%+v: got %s, %v, want an error about %s", k, got, err, what)
		}
	}
	if got, err := AppendAPIKey([]byte("keys: 3"), APIKey{Name: "new", UserID: "u", SHA256: hash2}); err == nil {
		t.Errorf("appended to a broken file:\n%s", got)
	}
}

func FuzzParseAPIKeys(f *testing.F) {
	f.Add([]byte("keys:\n  - name: a\n    userId: u\n    permissions: [session.read]\n    sha256: " + hash1 + "\n"))
	f.Add([]byte("keys: []"))
	f.Add([]byte("# c\nkeys:\n- {name: a, userId: u, sha256: " + hash2 + "} # d\n"))
	f.Add([]byte("keys: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before, err := parseAPIKeys(text)
		if (before == nil) != (err != nil) {
			t.Fatalf("%q: got %v and %v", text, before, err)
		}
		if err != nil {
			return
		}
		const hash3 = "3333333333333333333333333333333333333333333333333333333333333333"
		after, err := AppendAPIKey(text, APIKey{Name: "\x00new", UserID: "u", SHA256: hash3})
		if err != nil {
			return
		}
		if k, err := ParseAPIKeys(after); err != nil || k.Len() != before.Len()+1 || !bytes.HasPrefix(after, text) {
			t.Errorf("%q became %q, %v", text, after, err)
		}
	})
}
