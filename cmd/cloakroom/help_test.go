package main

import (
	"strings"
	"testing"
	"unicode/utf8"
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
	texts := []string{printedHelp(t, "help"), printedHelp(t, "help", "key", "new")}
	for _, s := range subcommands() {
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
	f("takes the name of one subcommand", "help", "serve", "dev")
	f("takes the name of one subcommand", "help", "key", "old")
	f("takes the name of one subcommand", "help", "serve", "--frobnicate")
	f("see docs/verify.md", "help", "verify")
	f("unknown subcommand \"frobnicate\"; `cloakroom help` lists them", "frobnicate")
	f(`unknown flag "--redis-ulr"; did you mean --redis-url?`, "serve", "--redis-ulr=x")
	f(`unknown flag "-http-addr"; did you mean --http-addr?`, "dev", "-http-addr", "x")
	f(`unknown flag "--near-cache"; did you mean --near-cache-bytes?`, "serve", "--near-cache")
	f(`unknown flag "--user"; did you mean --user-id?`, "revoke", "--user=u")
	f(`unknown flag "--permissions"; did you mean --permission?`, "key", "new", "--permissions=x")
	f(`unknown flag "--repiar"; did you mean --repair?`, "audit", "--repiar")
	f(`unknown flag "--admin-adr"; did you mean --admin-addr?`, "health", "--admin-adr=x")
	if _, _, log := once(t, "serve", "--qqqqqq"); !strings.Contains(log, `unknown flag "--qqqqqq"`) || strings.Contains(log, `"--qqqqqq"; did`) {
		t.Errorf("got %q", log)
	}
}
