package clients_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/openapi"
	"github.com/cloakroom-dev/cloakroom/internal/nodetest"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
	"github.com/cloakroom-dev/cloakroom/test/clients/goclient"
)

var update = flag.Bool("update", false, "generate the Go client of the OpenAPI document anew, which takes a minute")

// The document that the running program serves is without fault to a linter, and the types that are generated from it compile, strictly,
// with a client that creates, lists, reads and revokes.
func generatedTypeScript(t *testing.T, c *cloakroom) {
	document := testfile.Write(t, c.document(t))
	run(t, "node", "lint.mjs", document)
	dir, err := os.MkdirTemp(".", ".generated-") // where the packages are found
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	client, err := os.ReadFile("openapi.ts")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"client.ts": string(client), "tsconfig.json": `{"extends": "../tsconfig.json", "files": ["client.ts"]}`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "node", "node_modules/openapi-typescript/bin/cli.js", document, "-o", filepath.Join(dir, "api.ts"))
	run(t, "node", "node_modules/typescript/bin/tsc", "-p", dir)
	keys, err := json.Marshal(c.keys)
	if err != nil {
		t.Fatal(err)
	}
	nodetest.Run(t, "OpenAPI", []string{"CLIENT=./" + dir + "/client.js", "CLOAKROOM_URL=" + c.url, "CLOAKROOM_KEYS=" + string(keys)}, "openapi.test.mjs")
}

// document is the OpenAPI document that the program serves.
func (c *cloakroom) document(t *testing.T) string {
	t.Helper()
	res, err := http.Get(c.url + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d, %v", res.StatusCode, err)
	}
	return b.String()
}

// The Go client that oapi-codegen has generated creates, lists and deletes, and is told errors.
func generatedGo(t *testing.T, c *cloakroom) {
	ctx := t.Context()
	client, err := goclient.NewClientWithResponses(c.url, goclient.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+c.keys["admin"])
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	user, limit := "go-user", 10
	made, err := client.CreateSessionWithResponse(ctx, nil, goclient.CreateSessionRequest{Checks: &goclient.Checks{User: &goclient.CheckUser{UserId: &user}}})
	if err != nil || made.JSON201 == nil {
		t.Fatalf("%v, %s", err, made.Body)
	}
	list := func() *goclient.ListSessionsAnswer {
		t.Helper()
		got, err := client.ListSessionsWithResponse(ctx, nil, goclient.ListSessionsRequest{
			Query: &goclient.ListQuery{Limit: &limit}, Queries: &[]goclient.SearchQuery{{UserIdQuery: &goclient.UserIDQuery{Id: &user}}},
		})
		if err != nil || got.JSON200 == nil {
			t.Fatalf("%v, %s", err, got.Body)
		}
		return got.JSON200
	}
	id := made.JSON201.SessionId
	if got := list(); got.Details.TotalResult != "1" || len(got.Sessions) != 1 || got.Sessions[0].Id != id || got.Sessions[0].Factors.User.Id != user {
		t.Errorf("listed %+v", got)
	}
	if gone, err := client.DeleteSessionWithResponse(ctx, id, nil, goclient.DeleteSessionRequest{}); err != nil || gone.JSON200 == nil {
		t.Errorf("%v, %s", err, gone.Body)
	}
	if got := list(); got.Details.TotalResult != "0" || len(got.Sessions) != 0 {
		t.Errorf("listed %+v", got)
	}
	if none, err := client.GetSessionWithResponse(ctx, id, nil); err != nil || none.JSON404 == nil || none.JSON404.Code != 5 {
		t.Errorf("%v, %s", err, none.Body)
	}
}

const (
	clientDir = "goclient"
	generator = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
)

// The Go client is generated from the document as it is, but for its examples, which nothing is generated from. To generate it here would cost
// CI half a minute, most of it to compile the generator.
func TestGoClientIsOfThisDocument(t *testing.T) {
	text, err := openapi.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	withoutExamples(document)
	plain, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("%x\n", sha256.Sum256(plain))
	file := filepath.Join(clientDir, "document.sha256")
	if *update {
		run(t, "go", "run", generator, "-config", filepath.Join(clientDir, "oapi-codegen.yaml"), testfile.Write(t, string(plain)))
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is generated from another document: make openapi-client", clientDir)
	}
	made, err := os.ReadFile(filepath.Join(clientDir, "client.gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, version, _ := strings.Cut(generator, "@")
	if !strings.Contains(string(made), " version "+version+" DO NOT EDIT") {
		t.Errorf("%s is not of the generator %s", clientDir, version)
	}
}

// docs/clients.md names the generators that are tested.
func TestDocsNameTheGenerators(t *testing.T) {
	doc, err := os.ReadFile("../../docs/clients.md")
	if err != nil {
		t.Fatal(err)
	}
	packages, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"go run " + generator + " ", "npx openapi-typescript@7 "} {
		if !strings.Contains(string(doc), name) {
			t.Errorf("docs/clients.md does not have %s", name)
		}
	}
	if !strings.Contains(string(packages), `"openapi-typescript": "7.`) {
		t.Error("another openapi-typescript than the documented one is installed")
	}
}

// withoutExamples takes the examples out of a document.
func withoutExamples(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "examples")
		delete(v, "x-codeSamples")
		for _, inner := range v {
			withoutExamples(inner)
		}
	case []any:
		for _, inner := range v {
			withoutExamples(inner)
		}
	}
}
