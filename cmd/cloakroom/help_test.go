package main

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cloakroom-dev/cloakroom/cmd/cloakroom/completion"
	"github.com/spf13/pflag"
)

// printedHelp returns what is printed by a subcommand that is asked for help.
func printedHelp(t *testing.T, args ...string) string {
	t.Helper()
	code, out, log := once(t, args...)
	if code != exitOK || log != "" {
		t.Errorf("%q: exit code %d, %q", args, code, log)
	}
	return out
}

// Whatever a subcommand is, help prints what its --help prints, in 80 columns.
func TestHelpOfEverySubcommand(t *testing.T) {
	texts := []string{printedHelp(t, "help")}
	for _, s := range subcommands() {
		for _, v := range s.verbs {
			text := printedHelp(t, "help", s.name, v.name)
			if !strings.Contains(text, "Usage: cloakroom "+s.name+" "+v.name) && !strings.Contains(text, "       cloakroom "+s.name+" "+v.name) {
				t.Errorf("help %s %s: got %q", s.name, v.name, text)
			}
			if direct := printedHelp(t, s.name, v.name, "--help"); direct != text {
				t.Errorf("%s %s --help: got %q, want %q", s.name, v.name, direct, text)
			}
			texts = append(texts, text)
		}
		text := printedHelp(t, "help", s.name)
		if !strings.HasPrefix(text, "Usage: cloakroom "+s.name) {
			t.Errorf("help %s: got %q", s.name, text)
		}
		if direct := printedHelp(t, s.name, "--help"); direct != text {
			t.Errorf("%s --help: got %q, want %q", s.name, direct, text)
		}
		texts = append(texts, text)
	}
	for _, text := range texts {
		for line := range strings.Lines(text) {
			if line = strings.TrimSuffix(line, "\n"); utf8.RuneCountInString(line) > 80 || strings.TrimRight(line, " ") != line {
				t.Errorf("the line has %d columns, or ends in a space: %q", utf8.RuneCountInString(line), line)
			}
		}
	}
}

// Help, completion and parsing know the same flags.
func TestHelpAndCompletionHaveTheSameFlags(t *testing.T) {
	settings := settingNames(t)
	look := func(c *completion.Command, args ...string) {
		t.Helper()
		if c.Flags == nil {
			return
		}
		var listed []string
		for _, m := range regexp.MustCompile(`(?m)^  --([a-z-]+)`).FindAllStringSubmatch(printedHelp(t, append(args, "--help")...), -1) {
			listed = append(listed, m[1])
			if c.Flags.Lookup(m[1]) == nil {
				t.Errorf("%q: help has --%s, which completion does not know", args, m[1])
			}
		}
		c.Flags.VisitAll(func(f *pflag.Flag) {
			if !slices.Contains(listed, f.Name) && f.Name != "help" && (args[0] == "serve" || !slices.Contains(settings, f.Name)) {
				t.Errorf("%q: help does not list --%s", args, f.Name)
			}
			if f.Usage == "" {
				t.Errorf("%q: --%s has no help for completion", args, f.Name)
			}
			if code, _, log := once(t, append(args, "--"+f.Name+"=x", "--qqqqqq")...); f.Name != "help" && len(listed) > 0 && (code != exitUsage || strings.Contains(log, "unknown flag \"--"+f.Name)) {
				t.Errorf("%q takes no --%s: %d, %s", args, f.Name, code, log)
			}
		})
	}
	for _, c := range commandTree() {
		if c.Name == "help" {
			continue
		}
		if len(c.Sub) == 0 {
			look(&c, c.Name)
		}
		for i := range c.Sub {
			look(&c.Sub[i], c.Name, c.Sub[i].Name)
		}
	}
}

func TestUnknownNamesHaveASuggestion(t *testing.T) {
	f := func(want string, args ...string) {
		t.Helper()
		code, out, log := once(t, args...)
		if code != exitUsage || out != "" || !strings.Contains(log, want) {
			t.Errorf("%q: got %d, %q, %q, want %q", args, code, out, log, want)
		}
	}
	f(`unknown subcommand "serv"; did you mean serve?`, "serv")
	f(`unknown subcommand "docter"; did you mean doctor?`, "help", "docter")
	f("unknown subcommand \"revoke\"; did you mean `cloakroom sessions revoke`?", "revoke", "--all")
	f("did you mean `cloakroom sessions revoke`?", "help", "revoke")
	f("did you mean sessions list?", "sessions", "lits")
	f("takes the name of one subcommand", "help", "serve", "dev")
	f("takes the name of one subcommand", "help", "key", "old")
	f("takes the name of one subcommand", "help", "serve", "--frobnicate")
	f("see docs/verify.md", "help", "verify")
	f("unknown subcommand \"frobnicate\"; `cloakroom help` lists them", "frobnicate")
	f(`unknown flag "--redis-ulr"; did you mean --redis-url?`, "serve", "--redis-ulr=x")
	f(`unknown flag "-http-addr"; did you mean --http-addr?`, "dev", "-http-addr", "x")
	f(`unknown flag "--near-cache"; did you mean --near-cache-bytes?`, "serve", "--near-cache")
	f(`unknown flag "--user"; did you mean --user-id?`, "sessions", "revoke", "--user=u")
	f(`unknown flag "--permissions"; did you mean --permission?`, "key", "new", "--permissions=x")
	f(`unknown flag "--repiar"; did you mean --repair?`, "audit", "--repiar")
	f(`unknown flag "--admin-adr"; did you mean --admin-addr?`, "health", "--admin-adr=x")
	if _, _, log := once(t, "serve", "--qqqqqq"); !strings.Contains(log, `unknown flag "--qqqqqq"`) || strings.Contains(log, `"--qqqqqq"; did`) {
		t.Errorf("got %q", log)
	}
}
