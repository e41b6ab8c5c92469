package openapi

import (
	"os"
	"testing"
)

func TestDump(t *testing.T) {
	b, err := JSON()
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile("/tmp/openapi.json", b, 0o644)
	p, err := page()
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile("/tmp/openapi-shot/docs.html", p, 0o644)
	t.Log(len(b), len(p))
}
