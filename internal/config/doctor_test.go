package config

import (
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// Doctor needs a Redis or issuers, and a fault in the file of these is no reason not to look at that.
func TestDoctorNeedsRedisOrIssuers(t *testing.T) {
	const issuers = "issuers: [{name: a, issuer: 'https://id.example', audience: [a], verify: {}}]"
	load := func(args ...string) (*Config, error) {
		return Load(t.Context(), Source{Subcommand: "doctor", Args: args})
	}
	c, err := load("--auth-issuers-file="+testfile.Write(t, issuers), "--verify-accept=jwt")
	if err != nil || c.Issuers.Value().Len() != 1 || c.IssuersFault != nil || !c.Store.JWTs {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, text := range []string{"issuers: []", "issuers: [{issuer: secret}]", ""} {
		c, err := load("--auth-issuers-file="+testfile.Write(t, text), "--redis-url=memory:")
		if err != nil || c.Issuers != nil || c.IssuersFault == nil || strings.Contains(c.IssuersFault.Error(), "secret") {
			t.Errorf("%s: got %v, %v", text, c.IssuersFault, err)
		}
	}
	if _, err := load("--verify-accept=jwt"); err == nil || !strings.Contains(faultsOf(t, err)[0], "--redis-url, --auth-issuers-file or --upstream-url is required") {
		t.Errorf("got %v", err)
	}
}

func TestI6_InputIsNotShown(t *testing.T) {
	var at string
	_, err := Load(t.Context(), Source{Subcommand: "doctor", Args: []string{"--redis-url=memory:", "--token=secret\n"}}, Own("token", "", Input(&at), "a token"))
	if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "--token is not one of - for standard input, and the path of a file") {
		t.Errorf("got %v", err)
	}
}
