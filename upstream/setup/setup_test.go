package setup

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/upstream"
)

func event(kind string, targets ...string) upstream.Execution {
	return upstream.Execution{Condition: upstream.EventCondition{Event: kind}, Targets: targets}
}

func group(name string, targets ...string) upstream.Execution {
	return upstream.Execution{Condition: upstream.EventCondition{Group: name}, Targets: targets}
}

func all(targets ...string) upstream.Execution {
	return upstream.Execution{Condition: upstream.EventCondition{All: true}, Targets: targets}
}

func TestMissing_KeepsTheTargetsOfOthers(t *testing.T) {
	list := func(e ...upstream.Execution) []upstream.Execution { return e }
	for name, c := range map[string]struct{ there, set []upstream.Execution }{
		"nothing":                     {nil, list(group("session"), group("user"))},
		"ours":                        {list(group("session", "us"), group("user", "us")), nil},
		"ours on all":                 {list(all("us")), nil},
		"others":                      {list(group("session", "a", "b"), group("user", "us", "c")), list(group("session", "a", "b"))},
		"others on all":               {list(all("a")), list(group("session", "a"), group("user", "a"))},
		"ours on all, others of ours": {list(all("us"), group("user", "a")), list(group("user", "a"))},
		"a group hides all":           {list(all("a"), group("session", "b")), list(group("session", "b"), group("user", "a"))},
		"a type hides a group":        {list(group("session", "us"), group("user", "us"), event("session.terminated", "a")), list(event("session.terminated", "a"))},
		"a part hides a group":        {list(group("session", "us"), group("user", "us"), group("user.human", "a"), event("user.human.added", "us")), list(group("user.human", "a"))},
		"of other groups":             {list(group("session", "us"), group("user", "us"), group("users", "a"), event("sessions.x", "a"), group("oidc_session", "a")), nil},
	} {
		set, fine := missing(c.there, []string{"session", "user"}, "us")
		if !reflect.DeepEqual(set, c.set) {
			t.Errorf("%s: %+v, want %+v", name, set, c.set)
		}
		if len(set)+len(fine) < 2 {
			t.Errorf("%s: there are %d and %d", name, len(set), len(fine))
		}
	}
	if set, _ := missing(list(group("session", "")), []string{"session"}, ""); len(set) != 1 {
		t.Error("a target that is not there yet has events")
	}
}

func TestAppendKey(t *testing.T) {
	key := func() (string, error) { return "a-new-signing-key", nil }
	path := filepath.Join(t.TempDir(), "keys")
	if _, _, err := appendKey(path, key); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	for text, want := range map[string][]int{"": {1}, "old-key-1": {2, 1}, "old-key-1\n": {2, 1}, "\nold-key-1\n\n \nold-key-2\r\n": {6, 2, 5}} {
		line, before, err := appendKey(testfile.Write(t, text), key)
		if got := append([]int{line}, before...); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: the key and those before it are in lines %v, want %v, %v", text, got, want, err)
		}
	}
	for before, want := range map[string]string{"an-old-signing-key": "an-old-signing-key\na-new-signing-key\n", "an-old-signing-key\n": "an-old-signing-key\na-new-signing-key\n", "": "a-new-signing-key\n"} {
		path := testfile.Write(t, before)
		if _, _, err := appendKey(path, key); err != nil {
			t.Error(err)
		}
		if text, err := os.ReadFile(path); err != nil || string(text) != want {
			t.Errorf("%q, %v", text, err)
		}
	}
	// What has something else stays, and no key is asked for.
	for _, other := range []string{"key: value of another file", strings.Repeat("x", 600)} {
		path := testfile.Write(t, other)
		_, _, err := appendKey(path, func() (string, error) { t.Error("a key was asked for"); return "", nil })
		if text, _ := os.ReadFile(path); err == nil || string(text) != other || strings.Contains(err.Error(), "value") {
			t.Errorf("%q, %v", text, err)
		}
	}
	// A file that was not there stays so if there is no key, and one that was, stays.
	none := func() (string, error) { return "", errors.New("no key") }
	path = filepath.Join(t.TempDir(), "keys")
	if _, _, err := appendKey(path, none); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("an empty file was left")
	}
	path = testfile.Write(t, "")
	if _, _, err := appendKey(path, none); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if _, _, err := appendKey(path, func() (string, error) { return "two words", nil }); err == nil || strings.Contains(err.Error(), "two words") {
		t.Error(err)
	}
	if _, _, err := appendKey(filepath.Join(t.TempDir(), "no", "keys"), key); err == nil || !strings.Contains(err.Error(), "--upstream-event-key-file") {
		t.Error(err)
	}
}
