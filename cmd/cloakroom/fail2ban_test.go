package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// filterLines are the lines of a setting in the filter for fail2ban.
func filterLines(t *testing.T, setting string) (lines []string) {
	t.Helper()
	_, rest, found := strings.Cut(readDoc(t, deployments+"fail2ban/filter.d/cloakroom.conf"), "\n"+setting+" = ")
	if !found {
		t.Fatalf("the filter has no %s", setting)
	}
	for i, line := range strings.Split(rest, "\n") {
		if i > 0 && !strings.HasPrefix(line, " ") {
			break
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

// banned is what fail2ban would take for the addresses in a log: it cuts the date
// out of each line, and looks for the first expression that matches.
func banned(t *testing.T, log string) (addresses []string) {
	t.Helper()
	date := regexp.MustCompile(strings.NewReplacer("%%Y", `\d{4}`, "%%m", `\d\d`, "%%d", `\d\d`, "%%H", `\d\d`, "%%M", `\d\d`, "%%S", `\d\d`,
		"%%z", `(?:Z|[+-]\d\d:?\d\d)`).Replace(filterLines(t, "datepattern")[0]))
	var failures []*regexp.Regexp
	for _, text := range filterLines(t, "failregex") {
		failures = append(failures, regexp.MustCompile(strings.Replace(text, "<SUBNET>", `((?:\d{1,3}\.){3}\d{1,3}(?:/\d+)?|[0-9a-fA-F:]+(?:/\d+)?)`, 1)))
	}
	for line := range strings.Lines(log) {
		when := date.FindStringIndex(line)
		if when == nil {
			t.Errorf("the filter finds no date in %s", line)
			continue
		}
		line = line[:when[0]] + line[when[1]:]
		for _, f := range failures {
			if m := f.FindStringSubmatch(line); m != nil {
				addresses = append(addresses, m[1])
				break
			}
		}
	}
	return addresses
}

// The filter in deploy reads what the program logs, in both formats, and nothing
// that a client has made up.
func TestFail2banFilter(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"serve", "--redis-url=memory:", "--auth-keys-file", testfile.Write(t, testfile.OneKey), "--trusted-proxies=loopback,10.0.0.0/8"}, quick()...)
			p := launch(t, append(args, "--log-format="+format))
			var api string
			p.until(t, p.stderr, "ready", func(text string) bool {
				m := regexp.MustCompile(`(?:"msg":"ready","http":"|msg=ready http=)([0-9.:]+)`).FindStringSubmatch(text)
				if m != nil {
					api = "http://" + m[1]
				}
				return m != nil
			})
			const session = "/v2/sessions/1"
			forged := `client=198.51.100.66 client_net=198.51.100.66/32 `
			n := 0
			ask := func(status int, method, path, forwarded string, header ...string) {
				t.Helper()
				n++
				want(t, status, method, api+path, "", append(header, "X-Forwarded-For", forwarded, "X-Request-Id", fmt.Sprintf("client_net=198.51.100.%d/32", n), "User-Agent", forged)...)
			}
			ask(401, "GET", session, "203.0.113.1", "Authorization", "Bearer ck_guess")
			ask(401, "GET", session, "203.0.113.1", "Authorization", "Bearer ck_guess") // again, so not logged
			ask(401, "GET", "/verify", "1.1.1.1, 203.0.113.2:99, 10.0.0.1", "Authorization", "Bearer guess")
			ask(401, "DELETE", session, "[2001:db8:1:2:3::4]", "Authorization", "Bearer guess")
			ask(401, "DELETE", session, "2001:db8:1:2:9::9", "Authorization", "Bearer guess") // the same network
			ask(401, "GET", "/verify", "203.0.113.3")                                         // there is no credential
			ask(401, "DELETE", session, "203.0.113.3")
			for _, token := range []string{"1882822477288183595." + strings.Repeat("a", 43), strings.Repeat("a", 256) + ".b.c.d.e"} { // as of sessions that have ended
				ask(401, "GET", "/verify", "203.0.113.5", "Authorization", "Bearer "+token)
				ask(401, "DELETE", session, "203.0.113.5", "Authorization", "Bearer "+token)
			}
			ask(401, "GET", "/verify", "unknown", "Authorization", "Bearer guess") // its proxy does not say who it is
			ask(401, "GET", "/verify", "203.0.113.4, "+forged, "Authorization", "Bearer guess")
			if code := p.stop(); code != exitOK {
				t.Errorf("exit code %d", code)
			}
			got := banned(t, p.stderr.String())
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, []string{"2001:db8:1:2::/64", "203.0.113.1/32", "203.0.113.2/32"}) {
				t.Errorf("got %q of\n%s", got, p.stderr)
			}
			// What was left out is summed up at the end.
			if text := p.stderr.String(); !strings.Contains(text, "more lines like one before") || !strings.Contains(text, "credential refused") {
				t.Errorf("the log does not say what it has left out")
			}
		})
	}
}
