package config

import (
	"reflect"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// The origins of web pages are the same wherever they stand, and what is wrong
// with one is told.
func TestOrigins(t *testing.T) {
	keys := []string{"--redis-url=memory:", "--auth-keys-file", testfile.Write(t, testfile.OneKey)}
	const a, b = "https://a.example", "http://b.example:8080"
	for name, s := range map[string]struct{ args, env []string }{
		"flags":       {args: []string{"--cors-origins", a, "--cors-origins=" + b}},
		"one flag":    {args: []string{"--cors-origins", a + "; " + b}},
		"environment": {env: []string{"CLOAKROOM_CORS_ORIGINS=" + a + ";" + b}},
		"file, text":  {args: []string{"--config", testfile.Write(t, "cors-origins: "+a+";"+b+"\n")}},
		"file, list":  {args: []string{"--config", testfile.Write(t, "cors-origins:\n- "+a+"\n- "+b+"\n")}},
	} {
		c, err := loadWith(t, append(s.args, keys...), s.env)
		if err != nil || !reflect.DeepEqual(c.API.CORSOrigins, []string{a, b}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for text, want := range map[string]string{
		a + "/":     "--cors-origins: must be https://HOST or https://HOST:PORT (or http), without a path or a slash at the end",
		"*":         "--cors-origins: every origin (*) cannot be allowed: name each",
		a + ";" + a: "--cors-origins: https://a.example is there twice",
	} {
		if _, err := loadWith(t, append([]string{"--cors-origins", text}, keys...), nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
	if _, err := loadWith(t, with("--cors-origins", a), nil); err == nil || !strings.Contains(err.Error(), "--cors-origins needs callers with credentials") {
		t.Errorf("with --auth-anonymous: %v", err)
	}
}
