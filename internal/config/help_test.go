package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestEveryFlagIsInOneGroup(t *testing.T) {
	groups := map[string]int{}
	for _, group := range serveGroups {
		for _, flag := range group.flags {
			name, _, _ := strings.Cut(flag, " ")
			groups[name]++
		}
	}
	flagSet(settings(&Config{})).VisitAll(func(f *pflag.Flag) {
		if groups[f.Name] != 1 {
			t.Errorf("--%s is in %d groups", f.Name, groups[f.Name])
		}
		delete(groups, f.Name)
	})
	for name := range groups {
		t.Errorf("there is no --%s", name)
	}
}

// A switch has no word for its value, every other flag has one.
func TestGroupsNameTheValues(t *testing.T) {
	table := settings(&Config{})
	for _, group := range serveGroups {
		for _, flag := range group.flags {
			name, word, _ := strings.Cut(flag, " ")
			i := slices.IndexFunc(table, func(s Setting) bool { return s.Name == name })
			if i < 0 {
				continue // TestEveryFlagIsInOneGroup tells
			}
			if onOff := table[i].value.kind == "!!bool"; onOff != (word == "") || word != strings.ToUpper(word) {
				t.Errorf("--%s: the word for its value is %q", name, word)
			}
		}
	}
}

func TestServeHelp(t *testing.T) {
	var b strings.Builder
	if err := PrintHelp(&b, "serve"); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	flagSet(settings(&Config{})).VisitAll(func(f *pflag.Flag) {
		if n := strings.Count(text, "\n  --"+f.Name+"\n") + strings.Count(text, "\n  --"+f.Name+" "); n != 1 {
			t.Errorf("--%s is there %d times", f.Name, n)
		}
	})
	last := -1
	for _, group := range serveGroups {
		at := strings.Index(text, "\n\n"+group.heading+"\n  --")
		if at <= last {
			t.Errorf("the heading %q is missing, or not in its place", group.heading)
		}
		last = at
	}
}

func TestWrap(t *testing.T) {
	f := func(indent int, text, want string) {
		t.Helper()
		var b strings.Builder
		if wrap(&b, indent, text); b.String() != want {
			t.Errorf("got %q, want %q", b.String(), want)
		}
	}
	long, most := strings.Repeat("…", helpWidth+1), strings.Repeat("a", helpWidth-4)
	f(0, "", "\n")
	f(2, " a  b ", "  a b\n")
	f(2, most+" b", "  "+most+" b\n")
	f(2, most+" bc", "  "+most+"\n  bc\n")
	f(1, "a "+long+" b", " a\n "+long+"\n b\n")
}

func TestDurationText(t *testing.T) {
	f := func(d time.Duration, want string) {
		t.Helper()
		if got := durationText(d); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	f(0, "0s")
	f(20*time.Millisecond, "20ms")
	f(10*time.Second, "10s")
	f(time.Minute, "1m")
	f(90*time.Second, "1m30s")
	f(10*time.Minute, "10m")
	f(24*time.Hour, "24h")
	f(time.Hour+10*time.Minute, "1h10m")
	f(time.Hour+10*time.Second, "1h0m10s")
}
