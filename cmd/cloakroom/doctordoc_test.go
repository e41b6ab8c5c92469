package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/oidc/oidctest"
)

// unsteadyIssuer matches what differs from one run of doctor to the next: dates, times, key IDs and lengths.
var unsteadyIssuer = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, (in )?[0-9hms]+( ago)?|it took [0-9.]+[µm]?s|question takes [0-9.]+[µm]?s|kid \w+…|\b\d+ bytes`)

// docs/doctor.md shows what doctor prints of an issuer and a token.
func TestDoctorDocumentShowsIssuersAndToken(t *testing.T) {
	issuer := oidctest.Start(t)
	url := strings.Replace(issuer.URL, "127.0.0.1", "0.0.0.0", 1) // elsewhere, as far as it shows
	issuer.Say("issuer", url)
	file := strings.ReplaceAll(`issuers:
- name: zitadel
  issuer: URL
  allow_http: true
  audience: ["163840776835432705"]
  algorithms: [RS256]
  introspection: {url: URL/introspect, client_id: "cloak:room", client_secret_file: "SECRET", timeout: 5s}
  claims: {permissions: "urn:zitadel:iam:org:project:roles"}
  permissions: {session-support: {organizations: [session.read]}}
  logout: {audience: ["163840776835432707"]}
  verify: {}
`, "URL", url)
	key := oidctest.NewKey(t, "RS256")
	issuer.Rotate(key)
	issuer.Publish(key, oidctest.NewKey(t, "ES256"))
	now := time.Now().Unix()
	token := issuer.Sign(map[string]any{
		"aud": []string{"163840776835432707", "163840776835432708", "163840776835432705"}, "client_id": "163840776835432707", "exp": now + 43200, "iat": now, "iss": url,
		"jti": "V2_263840776835432710-at_263840776835432711", "nbf": now, "sub": "163840776835432720",
		"urn:zitadel:iam:org:project:roles": map[string]any{"session-support": map[string]any{"163840776835432704": "acme.example"}},
	})
	_, text, _ := onceReading(t, strings.NewReader(token), append([]string{"doctor", "--token=-"}, issuerArgs(t, url, file)...)...)
	wantShown(t, strings.ReplaceAll(strings.Trim(text, "\n"), url, "https://id.example.com"))
}

// wantShown fails the test unless docs/doctor.md shows the text. Whatever differs between runs is not compared.
func wantShown(t *testing.T, text string) {
	t.Helper()
	want := unsteadyIssuer.ReplaceAllString(text, "…")
	for _, m := range regexp.MustCompile("(?s)\n```\n(.*?)\n```\n").FindAllStringSubmatch(readDoc(t, "../../docs/doctor.md"), -1) {
		if unsteadyIssuer.ReplaceAllString(m[1], "…") == want {
			return
		}
	}
	t.Errorf("docs/doctor.md does not show what doctor prints:\n%s", text)
}

// docs/doctor.md shows what doctor prints of a ZITADEL.
func TestDoctorDocumentShowsZITADEL(t *testing.T) {
	z := withSession(t)
	_, text, _ := once(t, append([]string{"doctor"}, zitadelArgs(t, z.URL, z.Login.Token)...)...)
	text = strings.ReplaceAll(strings.Trim(text, "\n"), z.URL, "https://zitadel.example.com")
	wantShown(t, text)
}
