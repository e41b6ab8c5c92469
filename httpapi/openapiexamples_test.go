package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/openapi"
)

const examplesFile = "openapi/examples.jsonl"

// goldenExamples are the exchanges of golden files that are examples of the OpenAPI document: the operation, and the
// exchange as FILE: TITLE.
var goldenExamples = [][2]string{
	{"ListSessions", "search: A user since yesterday, newest first"},
	{"ListSessions", "search: By cursor: the beginning"},
	{"ListSessions", "search: A user, explained"},
	{"ListSessions", "errors: A search that is refused, explained"},
	{"GetSession", "get: Get a session"},
	{"GetSession", "get: Only if it has changed"},
	{"CreateSession", "create: Create a session of a user whom the gateway has verified"},
	{"SetSession", "set: State a factor that was verified elsewhere, and the user's organization"},
	{"DeleteSession", "delete: With permission for the organization"},
	{"DeleteSession", "delete: With its token"},
	{"PutSession", "put: Put a session as it is elsewhere"},
	{"PutSession", "put: Ask for a token"},
	{"ImportSessions", "import: Import sessions, one per line"},
	{"RevokeSessions", "revoke: Log out everywhere else"},
	{"RevokeSessions", "revoke: How many would it be"},
	{"BetaListSessions", "v2beta: Search"},
	{"BetaGetSession", "v2beta: Get"},
	{"BetaCreateSession", "v2beta: Create"},
	{"BetaSetSession", "v2beta: Set"},
	{"BetaDeleteSession", "v2beta: Delete"},
	{"ConnectListSessions", "connect: List, newest first"},
	{"ConnectGetSession", "connect: Get it"},
	{"ConnectCreateSession", "connect: Create a session"},
	{"ConnectSetSession", "connect: Set it"},
	{"ConnectDeleteSession", "connect: Delete by permission"},
	{"ConnectBetaListSessions", "connect: v2beta: list"},
	{"ConnectBetaGetSession", "connect: v2beta: get"},
	{"ConnectBetaCreateSession", "connect: v2beta: create"},
	{"ConnectBetaSetSession", "connect: v2beta: set"},
	{"ConnectBetaDeleteSession", "connect: v2beta: delete"},
	{"Verify", "verify: A good session"},
	{"Verify", "verify: The session was revoked"},
	{"VerifyPolicy", "verify: The named policy asks for more"},
	{"Version", "about: The version"},
}

// otherExamples are those that golden files cannot have: their requests are signed, or their answers long or no JSON.
var otherExamples = []openapi.Example{
	{
		Operation: "BackchannelLogout", Name: "A logout token of an issuer", Method: "POST", Path: "/backchannel-logout",
		Headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, Body: json.RawMessage(`"logout_token=LOGOUT_TOKEN"`), Status: 200,
	},
	{
		Operation: "ZITADELEvent", Name: "A session has ended", Method: "POST", Path: "/events/zitadel",
		Headers: []string{"Content-Type", "application/json", "ZITADEL-Signature", "t=2524705445,v1=" + strings.Repeat("0123456789abcdef", 4)},
		Body:    json.RawMessage(anEvent), Status: 200, Answer: json.RawMessage(`{}`),
	},
	{
		Operation: "AssertionKeys", Name: "The public keys", Method: "GET", Path: "/.well-known/jwks.json", Status: 200,
		Answer: json.RawMessage(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","use":"sig","alg":"EdDSA"}]}`),
	},
	{Operation: "OpenAPI", Name: "The document", Method: "GET", Path: "/openapi.json", Status: 200},
	{Operation: "Docs", Name: "The page", Method: "GET", Path: "/docs", Status: 200},
	{Operation: "DocsStyle", Name: "The style sheet", Method: "GET", Path: "/docs/style.css", Status: 200},
	{Operation: "Livez", Name: "It runs", Method: "GET", Path: "/livez", Status: 200, Answer: json.RawMessage(`"ok\n"`)},
	{Operation: "Readyz", Name: "It is ready", Method: "GET", Path: "/readyz", Status: 200, Answer: json.RawMessage(`"ready\n"`)},
	{
		Operation: "Metrics", Name: "The metrics", Method: "GET", Path: "/metrics", Status: 200,
		Answer: json.RawMessage(`"# HELP cloakroom_in_flight Requests that are at work, by class.\n# TYPE cloakroom_in_flight gauge\ncloakroom_in_flight{class=\"read\"} 0\n"`),
	},
}

var placeholder = regexp.MustCompile(`<(id|token|cursor|key)-([a-z0-9]+)>`)

// filled puts values in the place of a golden file's placeholders: always the same, and of the form that real ones have.
func filled(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(name string) string {
		m := placeholder.FindStringSubmatch(name)
		n, _ := strconv.Atoi(m[2])
		id := strconv.Itoa(1883209036009992218 + n)
		switch m[1] {
		case "id":
			return id
		case "token":
			return id + ".dkknHacmFYgX8XMFEQPjSZeZ-Q3H57NOnfceqi7gLfQ"
		case "cursor":
			return "AVgjW6dKA9JcAAYKJBgeQAExODgzMjA5MDM2MDA5OTkyMjIw"
		}
		return "API_KEY"
	})
}

// goldenExample makes an example of an exchange of a golden file.
func goldenExample(t *testing.T, operation, golden string) openapi.Example {
	t.Helper()
	file, title, _ := strings.Cut(golden, ": ")
	list := readGolden(t, "testdata/"+file+".http")
	i := slices.IndexFunc(list, func(e exchange) bool { return e.title == title })
	if i < 0 {
		t.Fatalf("%s has no %q", file, title)
	}
	g := &list[i]
	head, answer, _ := strings.Cut(g.answer, "\n\n")
	lines := strings.Split(head, "\n")
	e := openapi.Example{Operation: operation, Name: strings.TrimPrefix(title, "v2beta: "), Golden: file + ".http: " + title, Method: g.method, Path: filled(g.path)}
	if operation == "ImportSessions" { // its body is no JSON
		e.Body, _ = json.Marshal(filled(g.body))
	} else {
		e.Body = compact(t, filled(g.body))
	}
	for i := 0; i < len(g.headers); i += 2 {
		e.Headers = append(e.Headers, g.headers[i], filled(g.headers[i+1]))
	}
	if e.Body != nil && !slices.Contains(e.Headers, "Content-Type") { // else curl says that it is a form
		e.Headers = append(e.Headers, "Content-Type", map[bool]string{true: "application/x-ndjson", false: contentTypeJSON}[operation == "ImportSessions"])
	}
	if _, err := fmt.Sscanf(lines[0], "HTTP/1.1 %d", &e.Status); err != nil {
		t.Fatal(err)
	}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		e.AnswerHeaders = append(e.AnswerHeaders, name, filled(value))
	}
	e.Answer = compact(t, filled(answer))
	return e
}

// compact writes JSON in one line; nil for an empty text.
func compact(t *testing.T, text string) json.RawMessage {
	t.Helper()
	if text == "" {
		return nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return b.Bytes()
}

// The examples of the document are exchanges of the golden files, word for word. -update writes them anew.
func TestOpenAPI_ExamplesAreGolden(t *testing.T) {
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	var list []openapi.Example
	for _, one := range goldenExamples {
		list = append(list, goldenExample(t, one[0], one[1]))
	}
	list = append(list, otherExamples...)
	for i := range list {
		if err := encoder.Encode(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	if *update {
		if err := os.WriteFile(examplesFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(examplesFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the golden files have; write it anew: go test ./httpapi -run ExamplesAreGolden -update", examplesFile)
	}
}

// Every operation has an example, and each example is an exchange that the document allows.
func TestOpenAPI_EveryOperationHasGoodExamples(t *testing.T) {
	c := theContract()
	list, err := openapi.Examples()
	if err != nil {
		t.Fatal(err)
	}
	has := map[string]bool{}
	for i := range list {
		e := &list[i]
		has[e.Operation] = true
		contentType := contentTypeJSON
		op := c.find(e.Method, e.Path)
		if op == nil || op.id != e.Operation {
			t.Errorf("%s: %s %s is not of this operation", e.Operation, e.Method, e.Path)
			continue
		}
		answer := op.answers[e.Status]
		if answer == nil {
			t.Errorf("%s: %d is not documented", e.Operation, e.Status)
			continue
		}
		for contentType = range answer.bodies {
		}
		r := reply{status: e.Status, header: http.Header{"Content-Type": {contentType}}, body: textOf(e.Answer)}
		for i := 0; i < len(e.AnswerHeaders); i += 2 {
			r.header.Set(e.AnswerHeaders[i], e.AnswerHeaders[i+1])
		}
		if e.Answer == nil && e.Method == "GET" {
			e.Method = "HEAD" // for its answer is left out
		}
		if _, faults := c.check(&exchanged{e.Method, e.Path, textOf(e.Body), r}); len(faults) > 0 {
			t.Errorf("%s: %s: %v", e.Operation, e.Name, faults)
		}
	}
	for _, op := range c.operations {
		if !has[op.id] {
			t.Errorf("%s has no example", op.id)
		}
	}
}

// textOf is a body: JSON, or the text that it is.
func textOf(value json.RawMessage) (text string) {
	if json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}
