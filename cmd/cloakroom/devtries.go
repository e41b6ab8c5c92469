package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// try is a line to paste.
type try struct{ what, line string }

// curl is how curl reaches the API.
type curl struct {
	command, base string
	// key is the option with the API key, "" if none is needed.
	key string
	// token is the option with a session token, which is %s in it.
	token string
}

// curl returns how curl reaches the API of s.
func (s *sidecar) curl() curl {
	c := curl{command: "curl -s", base: "http://" + listen.AddressOf(s.listens.HTTP), token: tokenOption(s.c.Value("verify-credentials"))}
	if path, unix := strings.CutPrefix(listen.AddressOf(s.listens.HTTP), "unix:"); unix {
		c.command, c.base = "curl -s --unix-socket "+shellQuote(path), "http://localhost"
	}
	if s.c.HTTPTLS != nil { // whatever name and authority the certificate has
		c.command, c.base = c.command+" -k", "https"+strings.TrimPrefix(c.base, "http")
	}
	if !s.c.API.Anonymous {
		c.key = ` -H "Authorization: Bearer $API_KEY"`
	}
	return c
}

// tokenOption is the option that puts a token where verify looks first.
func tokenOption(credentials string) string {
	first, _, _ := strings.Cut(credentials, ",")
	first = strings.TrimSpace(first)
	if name, cookie := strings.CutPrefix(first, "cookie:"); cookie {
		return " -b " + name + "=%s"
	}
	if first == "x-session-token" {
		return " -H 'X-Session-Token: %s'"
	}
	return " -H 'Authorization: Bearer %s'"
}

// logout are a verify that passes, a revocation, and the verify that is refused
// after it.
func (c curl) logout(demo *session.Session, token string) []try {
	check := c.command + " -i " + c.base + "/verify" + strings.ReplaceAll(c.token, "%s", token)
	return []try{
		{"Verify a session, as a gateway does: 200, X-Session-User: " + demo.Factors.User.ID, check},
		{"Revoke it", c.command + c.key + " -X DELETE " + c.base + "/v2/sessions/" + string(demo.ID)},
		{"Verify it again: 401, X-Auth-Reason: revoked", check},
	}
}

// searches are calls that read: the newest sessions, a user's since yesterday as
// the API's documentation has it, and one session.
func (c curl) searches(newest *session.Stored, now session.Time) []try {
	since := min(now.Add(-24*time.Hour), newest.Creation).Std().Truncate(time.Second)
	search := fmt.Sprintf(`{"query":{"asc":false,"limit":10},"sortingColumn":"SESSION_FIELD_NAME_CREATION_DATE","queries":[`+
		`{"userIdQuery":{"id":%q}},{"creationDateQuery":{"creationDate":%q,"method":"TIMESTAMP_QUERY_METHOD_GREATER_OR_EQUALS"}}]}`,
		newest.UserID, since.Format(time.RFC3339))
	post := c.command + c.key + " -X POST " + c.base + "/v2/sessions/search -H 'Content-Type: application/json' -d "
	return []try{
		{"The three newest sessions, and how many there are", post + `'{"query":{"limit":3}}'`},
		{"One user's sessions since yesterday, newest first", post + shellQuote(search)},
		{"One session", c.command + c.key + " " + c.base + "/v2/sessions/" + string(newest.ID)},
	}
}

// shellQuote quotes s for a POSIX shell.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func printTries(w io.Writer, all []try) error {
	var b strings.Builder
	b.WriteString("\nPaste these lines into another shell, in this order (Ctrl-C here ends it):\n")
	for _, t := range all {
		fmt.Fprintf(&b, "\n# %s\n%s\n", t.what, t.line)
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}
