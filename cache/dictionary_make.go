//go:build ignore

// This program writes the dictionary: the texts of session documents, as
// packed.SplitDocument leaves them, made up of what real ones have in common, in
// the order that serves S2 best: what is rare first, what is usual last. It is
// deterministic. Stored sessions depend on the dictionary, so another content
// needs another file and another version.
//
//	go run dictionary_make.go > dictionary.bin
package main

import (
	"fmt"
	"os"
	"strings"
)

// size is the longest dictionary: what is rarest is cut off.
const size = 16 << 10

func main() {
	all := texts()
	if _, err := os.Stdout.WriteString(all[max(len(all)-size, 0):]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// texts is the dictionary, uncut. Strings end in a zero byte; 1, 2 and 3 stand for a
// number, for hexadecimal digits and for an address (packed.SplitDocument).
func texts() string {
	var b strings.Builder
	for _, h := range headers {
		pair(&b, h[0], h[1])
	}
	for _, l := range languages {
		pair(&b, "accept-language", l)
	}
	for i := range agents {
		a := agents[len(agents)-1-i]
		browser(&b, a.description, "en-US,en;q=0.9", a.header)
	}
	for _, m := range moreMetadata {
		pair(&b, m[0], m[1])
	}
	for _, m := range metadata {
		pair(&b, m[0], m[1])
	}
	for _, p := range people {
		fmt.Fprintf(&b, "\x01\x01%s\x00%s\x00\x01", p[0], p[1])
	}
	for _, d := range domains {
		fmt.Fprintf(&b, "%s\x00", d)
	}
	for _, l := range locales {
		low, _, _ := strings.Cut(l, "-")
		pair(&b, "accept-language", fmt.Sprintf("%s,%s;q=0.9,en-US;q=0.8,en;q=0.7", l, low))
		fmt.Fprintf(&b, "%s,%s;q=0.9,en;q=0.8\x00%s,%s;q=0.5\x00", l, low, low, l)
	}
	// What is nearest to the end is told in the fewest bytes.
	for i := range agents[:7] {
		a := agents[6-i]
		browser(&b, a.description, "de-DE,de;q=0.9,en;q=0.8", a.header)
	}
	for _, system := range []string{"Linux", "iOS", "Android", "macOS", "Windows"} {
		for _, name := range []string{"Firefox", "Safari", "Edge", "Chrome"} {
			fmt.Fprintf(&b, "\x00\x02\x03%s 1, %s\x00accept-language\x00", name, system)
		}
	}
	for _, end := range []string{" Firefox/14", " Edg/14", " Safari/604.1\x00", " Safari/605.1.15\x00", ".0.0.0 Safari/537.36\x00", ".0\x00", " Chrome/14", " Chrome/13"} {
		b.WriteString(end)
	}
	b.WriteString(";q=0.7\x00user-agent\x00Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/14")
	b.WriteString(";q=0.9,en;q=0.8\x00user-agent\x00Mozilla/5.0 (Windows NT 10.0; Win64; x64) ")
	b.WriteString("\x00\x01tenant\x00client\x00web\x00user-agent\x00")
	return b.String()
}

func pair(b *strings.Builder, name, value string) {
	b.WriteString(name)
	b.WriteByte(0)
	b.WriteString(value)
	b.WriteByte(0)
}

// browser writes a whole user agent: fingerprint, address, description, header.
func browser(b *strings.Builder, description, language, header string) {
	b.WriteString("\x02\x03")
	pair(b, description, "accept-language")
	b.WriteString(language)
	b.WriteByte(0)
	pair(b, "user-agent", header)
}

var locales = []string{
	"en-AU", "en-CA", "en-IN", "pt-PT", "es-MX", "fr-CA", "fr-CH", "de-AT", "de-CH", "ko-KR", "ja-JP", "zh-TW", "zh-CN", "ar-SA", "he-IL", "el-GR",
	"uk-UA", "ru-RU", "ro-RO", "hu-HU", "fi-FI", "nb-NO", "tr-TR", "cs-CZ", "da-DK", "sv-SE", "pl-PL", "nl-NL", "it-IT", "pt-BR", "es-ES", "fr-FR",
	"en-GB", "de-DE",
}

// domains are how login names often end.
var domains = []string{
	"@icloud.com", "@proton.me", "@gmx.de", "@web.de", "@bluewin.ch", "@hotmail.com", "@yahoo.com", "@outlook.com", "@googlemail.com", "@gmail.com",
	".zitadel.cloud", ".internal", ".local", ".localhost", ".test", ".gov", ".edu", ".org", ".net", ".io", ".dev", ".app", ".co.uk", ".fr", ".ch", ".de", ".com", ".example",
	"@example.org", "@example.com",
}

var moreMetadata = [][2]string{
	{"device", "mobile"},
	{"device", "tablet"},
	{"client", "mobile"},
	{"client", "desktop"},
	{"client", "web-app"},
	{"client", "app-ios"},
	{"client", "app-android"},
	{"client", "portal"},
	{"channel", "web"},
	{"channel", "mobile"},
	{"login_hint", ""},
	{"scope", "openid profile email"},
	{"redirect_uri", "https://"},
	{"nonce", ""},
	{"language", "de"},
	{"timezone", "Europe/Zurich"},
	{"timezone", "Europe/Berlin"},
	{"timezone", "America/New_York"},
	{"timezone", "UTC"},
	{"env", "staging"},
	{"env", "prod"},
	{"amr", "pwd"},
	{"amr", "mfa"},
	{"customer", ""},
	{"account", ""},
	{"group", "admin"},
	{"roles", "user,admin"},
	{"email_verified", "true"},
	{"idp", "google"},
	{"idp", "azure"},
	{"idp", "github"},
	{"app_version", "1.0.0"},
	{"flow", "login"},
	{"flow", "register"},
	{"trusted", "true"},
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
