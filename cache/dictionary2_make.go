//go:build ignore

package main

import (
	"fmt"
	"strings"
)

// texts is dictionary 2. Strings end in a zero byte; 1, 2 and 3 stand for a
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
