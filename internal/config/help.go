package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// helpWidth is the most columns that a line of help has.
	helpWidth = 80
	// helpIndent is how far the text below a flag is indented, in columns.
	helpIndent = 6
)

const serveIntro = `Usage: cloakroom serve --redis-url URL [flags]

Serves ZITADEL's session API, and verify for gateways, from the Redis at
--redis-url. Say who may call: --auth-keys-file, --auth-issuers-file or, on
loopback and unix sockets only, --auth-anonymous.
`

const devIntro = `Usage: cloakroom dev [flags]

Serves 1,000 sample sessions from a private Redis, and prints what to try first.
Where the default port of a listener is taken, it takes the next free one. It
has the flags of serve, with other defaults for some.
`

// flagGroup is a heading and the flags below it. Behind the name of a flag is
// the word for its value; a switch has none.
type flagGroup struct {
	heading string
	flags   []string
}

// serveGroups are the flags of serve and dev, each in one group.
var serveGroups = []flagGroup{
	{"Configuration", []string{"config FILE", "print-config"}},
	{"Listeners", []string{
		"http-addr ADDRESS", "verify-addr ADDRESS", "grpc-addr ADDRESS", "grpc-services LIST", "admin-addr ADDRESS", "console", "pprof", "reuse-port", "trusted-proxies LIST", "cors-origins ORIGIN",
	}},
	{"Redis", []string{
		"redis-url URL", "redis-username NAME", "redis-password-file FILE", "redis-sentinel-username NAME", "redis-sentinel-password-file FILE",
		"redis-tls-ca-file FILE", "redis-tls-cert-file FILE", "redis-tls-key-file FILE", "redis-tls-server-name NAME",
		"redis-key-prefix TEXT", "redis-shards NUMBER", "redis-replica-reads",
	}},
	{"Who may call", []string{"auth-keys-file FILE", "auth-issuers-file FILE", "auth-anonymous", "key-rate-limit NUMBER", "key-rate-burst NUMBER"}},
	{"ZITADEL behind the cache", []string{
		"upstream-url URL", "upstream-host HOST", "upstream-allow-http", "upstream-token-file FILE", "upstream-ca-file FILE", "upstream-event-key-file FILE", "upstream-timeout DURATION",
		"upstream-concurrency NUMBER", "upstream-queue NUMBER", "upstream-max-age DURATION", "upstream-max-age-proven DURATION", "upstream-poll DURATION", "upstream-keep DURATION",
		"upstream-permission-age DURATION", "upstream-verify-timeout DURATION", "upstream-probe-rate NUMBER",
	}},
	{"Verify", []string{
		"verify-credentials LIST", "verify-accept LIST", "verify-policy POLICY", "verify-default-policy NAME", "verify-allow-unproven", "verify-reasons", "verify-metadata LIST",
		"verify-claims LIST", "assertion-key-file FILE", "assertion-audience LIST", "assertion-issuer TEXT", "assertion-lifetime DURATION",
		"stale-if-error DURATION",
	}},
	{"Sessions and limits", []string{
		"instance-id TEXT", "default-lifetime DURATION", "max-lifetime DURATION", "max-sessions-per-user NUMBER", "max-sessions-policy POLICY",
		"max-session-bytes SIZE", "max-body-bytes SIZE", "max-header-bytes SIZE", "max-in-flight NUMBER",
	}},
	{"Searches", []string{"search-default-limit NUMBER", "search-max-limit NUMBER", "search-max-candidates NUMBER"}},
	{"Near cache", []string{"near-cache-bytes SIZE", "near-cache-staleness DURATION", "near-cache-tracking MODE"}},
	{"Deletions and audits", []string{"revoke-wait-replicas NUMBER", "revoke-wait-timeout DURATION", "remember-deletions NUMBER", "audit-interval DURATION"}},
	{"TLS of the listeners", []string{
		"http-tls-cert-file FILE", "http-tls-key-file FILE", "http-tls-client-ca-file FILE", "verify-tls-cert-file FILE", "verify-tls-key-file FILE",
		"grpc-tls-cert-file FILE", "grpc-tls-key-file FILE",
	}},
	{"Logs", []string{"log-level LEVEL", "log-format FORMAT"}},
	{"Shutdown", []string{"shutdown-timeout DURATION", "shutdown-delay DURATION", "shutdown-idle DURATION"}},
}

// PrintHelp prints the help of serve and dev.
func PrintHelp(w io.Writer, subcommand string) error {
	table := settings(&Config{})
	defaults(table, subcommand)
	var b strings.Builder
	if subcommand == "dev" {
		b.WriteString(devIntro)
	} else {
		b.WriteString(serveIntro)
	}
	for _, group := range serveGroups {
		fmt.Fprintf(&b, "\n%s\n", group.heading)
		for _, flag := range group.flags {
			name, _, _ := strings.Cut(flag, " ")
			i := slices.IndexFunc(table, func(s Setting) bool { return s.Name == name })
			helpOfFlag(&b, flag, &table[i])
		}
	}
	b.WriteString("\n")
	wrap(&b, 0, "Every flag but --print-config is also an environment variable (--http-addr is "+EnvName("http-addr")+
		"), and every flag but that and --config a key in the file of --config (http-addr: …). A flag overrides the environment, and the environment overrides the file. "+
		"docs/operations.md says more about each.")
	_, err := io.WriteString(w, b.String())
	return err
}

// helpOfFlag writes a flag with its default, what it is for, and what it takes
// if its name does not say that already.
func helpOfFlag(b *strings.Builder, flag string, s *Setting) {
	b.WriteString("  --" + flag)
	onOff := s.value.kind == "!!bool"
	if s.def != "" && !(onOff && s.def == "false") {
		b.WriteString(" (default " + s.def + ")")
	}
	b.WriteString("\n")
	wrap(b, helpIndent, s.help)
	if !onOff && !strings.HasPrefix(s.value.allowed, "text of ") {
		wrap(b, helpIndent, "takes "+s.value.allowed)
	}
}

// wrap writes text in lines of at most helpWidth columns, each indented. A word
// that is too long gets a line of its own.
func wrap(b *strings.Builder, indent int, text string) {
	column := 0
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			b.WriteString(strings.Repeat(" ", indent))
			column = indent
		case column+1+n > helpWidth:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteString(" ")
			column++
		}
		b.WriteString(word)
		column += n
	}
	b.WriteString("\n")
}
