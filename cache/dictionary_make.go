//go:build ignore

// This program writes the dictionaries: session documents (1), or their texts
// as packed.SplitDocument leaves them (2), made up of what real ones have in
// common, in the order that serves S2 best: what is rare first, what is usual
// last. It is deterministic. Stored sessions depend on the dictionaries, so
// another content needs another file and another version.
//
//	go run dictionary_make.go dictionary2_make.go 1 > dictionary.bin
//	go run dictionary_make.go dictionary2_make.go 2 > dictionary2.bin
package main

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

const size = 16 << 10

var random = rand.New(rand.NewPCG(1, 1))

func main() {
	var all string
	switch {
	case len(os.Args) == 2 && os.Args[1] == "1":
		all = documents()
	case len(os.Args) == 2 && os.Args[1] == "2":
		all = texts()
	default:
		fmt.Fprintln(os.Stderr, "say which dictionary: 1 or 2")
		os.Exit(2)
	}
	// Together it is more than the size: what is rarest is cut off.
	if _, err := os.Stdout.WriteString(all[max(len(all)-size, 0):]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// documents is dictionary 1: whole typical documents come last.
func documents() string {
	var end, b strings.Builder
	for i := range 12 {
		end.Write(session.AppendJSON(nil, typical(11-i)))
	}
	words(&b)
	return b.String() + end.String()
}

// agent is a browser: its header and what a gateway makes of it.
type agent struct{ description, header string }

var agents = []agent{
	{"Chrome, Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
	{"Chrome, macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139.0.0.0 Safari/537.36"},
	{"Mobile Safari, iOS", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Mobile/15E148 Safari/604.1"},
	{"Chrome Mobile, Android", "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36"},
	{"Firefox, Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:143.0) Gecko/20100101 Firefox/143.0"},
	{"Safari, macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/605.1.15"},
	{"Edge, Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36 Edg/138.0.0.0"},
	{"Firefox, Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0"},
	{"Firefox, macOS", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:141.0) Gecko/20100101 Firefox/141.0"},
	{"Firefox, Ubuntu", "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
	{"Chrome, Linux", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/137.0.0.0 Safari/537.36"},
	{"Safari, iPad", "Mozilla/5.0 (iPad; CPU OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.7 Mobile/15E148 Safari/604.1"},
	{"Samsung Internet, Android", "Mozilla/5.0 (Linux; Android 15; SM-S928B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36"},
	{"Chrome, iOS", "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/141.0.0.0 Mobile/15E148 Safari/604.1"},
	{"Firefox Mobile, Android", "Mozilla/5.0 (Android 14; Mobile; rv:143.0) Gecko/143.0 Firefox/143.0"},
	{"Opera, Windows", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/136.0.0.0 Safari/537.36 OPR/121.0.0.0"},
	{"Chrome OS", "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/135.0.0.0 Safari/537.36"},
	{"curl", "curl/8.14.1"},
	{"Go client", "Go-http-client/2.0"},
}

var languages = []string{
	"en-US,en;q=0.9", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "en-GB,en;q=0.9,en-US;q=0.8", "fr-FR,fr;q=0.9,en-US;q=0.8,en;q=0.7",
	"en-US,en;q=0.5", "de-CH,de;q=0.9,fr-CH;q=0.8,it-CH;q=0.7,en;q=0.6", "es-ES,es;q=0.9,en;q=0.8", "it-IT,it;q=0.9,en-US;q=0.8,en;q=0.7",
	"pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7", "nl-NL,nl;q=0.9,en-US;q=0.8,en;q=0.7", "pl-PL,pl;q=0.9,en-US;q=0.8,en;q=0.7", "sv-SE,sv;q=0.9,en-US;q=0.8,en;q=0.7",
	"da-DK,da;q=0.9,en;q=0.8", "ja,en-US;q=0.9,en;q=0.8", "zh-CN,zh;q=0.9,en;q=0.8", "tr-TR,tr;q=0.9,en-US;q=0.8,en;q=0.7", "cs-CZ,cs;q=0.9,en;q=0.8",
}

// people are login and display names.
var people = [][2]string{
	{"anna.schmidt@example.com", "Anna Schmidt"},
	{"john.smith@example.org", "John Smith"},
	{"maria.garcia@example.net", "Maria Garcia"},
	{"thomas.mueller@mail.example.com", "Thomas Müller"},
	{"sarah.johnson@acme.zitadel.cloud", "Sarah Johnson"},
	{"michael.brown@company.com", "Michael Brown"},
	{"laura.martin@corp.example.com", "Laura Martin"},
	{"david.andersson@gmail.com", "David Andersson"},
	{"peter.keller@outlook.com", "Peter Keller"},
	{"admin@zitadel.localhost", "ZITADEL Admin"},
	{"julia.weber@example.ch", "Julia Weber"},
	{"daniel.fischer@example.de", "Daniel Fischer"},
}

// metadata are entries that gateways and login pages leave.
var metadata = [][2]string{
	{"client", "web"},
	{"client_id", "portal"},
	{"app", "console"},
	{"tenant", "default"},
	{"device", "desktop"},
	{"deviceName", "MacBook Pro"},
	{"loginMethod", "password"},
	{"amr", `["pwd","otp"]`},
	{"acr", "urn:zitadel:iam:aal2"},
	{"country", "CH"},
	{"region", "eu-central-1"},
	{"role", "user"},
	{"plan", "enterprise"},
	{"locale", "en"},
	{"organization", "Example Ltd"},
	{"source", "login"},
	{"remember", "true"},
	{"requestId", "req-"},
	{"version", "1"},
	{"platform", "mobile"},
	{"environment", "production"},
	{"ip", "10.0.0.1"},
	{"auth_time", "17"},
	{"risk", "low"},
	{"name", "browser"},
	{"session", "active"},
}

// headers are further request headers that gateways keep.
var headers = [][2]string{
	{"accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"},
	{"accept", "application/json"},
	{"accept-encoding", "gzip, deflate, br, zstd"},
	{"host", "login.example.com"},
	{"origin", "https://app.example.com"},
	{"referer", "https://login.example.com/ui/v2/login/"},
	{"sec-ch-ua", `"Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"`},
	{"sec-ch-ua-mobile", "?0"},
	{"sec-ch-ua-platform", `"Windows"`},
	{"sec-fetch-site", "same-origin"},
	{"x-forwarded-for", "10.42.0.1"},
	{"x-forwarded-host", "auth.example.com"},
	{"x-forwarded-proto", "https"},
	{"x-real-ip", "192.168.1.10"},
	{"x-request-id", ""},
	{"Accept-Language", "en-US,en;q=0.9"},
	{"User-Agent", "Mozilla/5.0 ("},
}

// words writes values that a typical document does not have, each with its surroundings.
func words(b *strings.Builder) {
	for _, h := range headers {
		header(b, h[0], h[1])
	}
	for _, a := range agents[8:] {
		fmt.Fprintf(b, `"description":"%s",`, a.description)
		header(b, "user-agent", a.header)
	}
	for _, l := range languages {
		header(b, "accept-language", l)
	}
	for _, m := range metadata {
		fmt.Fprintf(b, `"%s":"%s",`, m[0], base64.StdEncoding.EncodeToString([]byte(m[1])))
	}
	for _, p := range people {
		fmt.Fprintf(b, `","loginName":"%s","displayName":"%s","organizationId":"`, p[0], p[1])
	}
	for _, ip := range []string{"10.", "172.16.", "192.168.1.", "127.0.0.1", "2001:db8::1", "2a02:", "::1", "203.0.113.", "198.51.100."} {
		fmt.Fprintf(b, `","ip":"%s`, ip)
	}
	for year := 2025; year <= 2027; year++ {
		for month := 1; month <= 12; month++ {
			fmt.Fprintf(b, `At":"%d-%02d-`, year, month)
		}
	}
	factors := []string{"user", "password", "webAuthN", "intent", "totp", "otpSms", "otpEmail", "recoveryCode"}
	for i, f := range factors[1:] {
		for _, before := range factors[max(i-2, 0) : i+1] {
			fmt.Fprintf(b, `"%s":{"verifiedAt":"2026-Z"},"%s":{"verifiedAt":"`, before, f)
		}
		fmt.Fprintf(b, `"organizationId":"3"},"%s":{"verifiedAt":"2026-Z"}},"userAgent":{"ip":"`, f)
	}
	b.WriteString(`"webAuthN":{"userVerified":false},"password":{},"totp":{},"factors":{"user":{"id":"","loginName":"`)
}

func header(b *strings.Builder, name, value string) {
	doc := session.AppendJSON(nil, &session.Session{
		ExpirationDate: session.Never,
		UserAgent:      session.UserAgent{Header: map[string][]string{name: {value}}},
	})
	_, entry, _ := strings.Cut(string(doc), `"header":{`)
	b.WriteString(strings.TrimSuffix(entry, "}}}") + ",")
}

// typical makes a session of the n-th browser.
func typical(n int) *session.Session {
	created := session.TimeOf(time.Date(2025, 9, 1, 6, 0, 0, 0, time.UTC)) + session.Time(random.Int64N(600*86400))*1e6 + session.Time(random.Int64N(1e6))
	verified := created + session.Time(random.Int64N(60e6))
	person := people[random.IntN(len(people))]
	fingerprint := fmt.Sprintf("%016x%016x", random.Uint64(), random.Uint64())
	ip := fmt.Sprintf("%d.%d.%d.%d", 11+random.IntN(200), random.IntN(256), random.IntN(256), random.IntN(256))
	a := agents[n%len(agents)]
	s := &session.Session{
		ID:           id(),
		CreationDate: created,
		ChangeDate:   verified,
		Sequence:     uint64(2 + random.IntN(4)),
		Factors: session.Factors{
			User:     &session.UserFactor{VerifiedAt: created, ID: string(id()), LoginName: person[0], DisplayName: person[1], OrganizationID: string(id())},
			Password: &session.Factor{VerifiedAt: verified},
		},
		Metadata: map[string][]byte{},
		UserAgent: session.UserAgent{FingerprintID: &fingerprint, IP: &ip, Description: &a.description, Header: map[string][]string{
			"accept-language": {languages[random.IntN(len(languages))]},
			"user-agent":      {a.header},
		}},
		ExpirationDate: created + 86400e6,
	}
	switch n % 4 {
	case 0:
		s.Factors.TOTP = &session.Factor{VerifiedAt: verified}
	case 1:
		s.Factors.WebAuthN = &session.WebAuthNFactor{VerifiedAt: verified, UserVerified: true}
	case 2:
		s.Factors.Intent = &session.Factor{VerifiedAt: verified}
	}
	for range 2 {
		m := metadata[random.IntN(len(metadata))]
		s.Metadata[m[0]] = []byte(m[1])
	}
	return s
}

// id makes an ID of 18 digits.
func id() session.ID {
	return session.ID(fmt.Sprint(280_000_000_000_000_000 + random.Int64N(90_000_000_000_000_000)))
}
