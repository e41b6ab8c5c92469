package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-dev/cloakroom/httpapi/imports"
	"github.com/cloakroom-dev/cloakroom/httpapi/openapi"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// contract is the OpenAPI document, ready to judge requests and answers. It is safe for concurrent use.
type contract struct {
	document   map[string]any
	operations []*contractOperation
	// errors are the schemas of an error of a request that is for no operation: by REST, and by Connect.
	error, connectError *jsonschema.Schema
	// put is the schema of PutSession's request, and of a line of an import.
	put *jsonschema.Schema
}

type contractOperation struct {
	id, method, path string
	parameters       []map[string]any
	// body is the schema of the request, and compiled; nil if it has none. bodyType is its content type.
	body     map[string]any
	bodyType string
	compiled *jsonschema.Schema
	answers  map[int]*contractAnswer
}

type contractAnswer struct {
	headers map[string]*jsonschema.Schema // by canonical name
	bodies  map[string]*jsonschema.Schema // by content type
}

// theContract is the document as it is served. In its schemas of answers every object is closed, so that a member that is
// not documented is found.
var theContract = sync.OnceValue(func() *contract {
	text, err := openapi.JSON()
	if err != nil {
		panic(err)
	}
	parse := func() map[string]any {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			panic(err)
		}
		return v.(map[string]any)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	closed := parse()
	closeObjects(closed["components"])
	closeObjects(closed["paths"])
	c := &contract{document: parse()}
	for name, document := range map[string]any{"open.json": parse(), "closed.json": closed} {
		if err := compiler.AddResource("https://cloakroom.test/"+name, document); err != nil {
			panic(err)
		}
	}
	compile := func(document string, pointer ...string) *jsonschema.Schema {
		for i, name := range pointer {
			pointer[i] = url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
		}
		return compiler.MustCompile("https://cloakroom.test/" + document + "#/" + strings.Join(pointer, "/"))
	}
	c.error, c.connectError = compile("closed.json", "components", "schemas", "Error"), compile("closed.json", "components", "schemas", "ConnectError")
	c.put = compile("open.json", "components", "schemas", "PutSessionRequest")
	paths := c.document["paths"].(map[string]any)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		for method, value := range paths[path].(map[string]any) {
			if method == "servers" {
				continue
			}
			of := value.(map[string]any)
			op := &contractOperation{id: of["operationId"].(string), method: strings.ToUpper(method), path: path, answers: map[int]*contractAnswer{}}
			list, _ := of["parameters"].([]any)
			for _, p := range list {
				_, at := c.resolve(p, nil)
				op.parameters = append(op.parameters, at)
			}
			if body, ok := of["requestBody"].(map[string]any); ok {
				for op.bodyType = range body["content"].(map[string]any) {
					op.body = body["content"].(map[string]any)[op.bodyType].(map[string]any)["schema"].(map[string]any)
					op.compiled = compile("open.json", "paths", path, method, "requestBody", "content", op.bodyType, "schema")
				}
			}
			for status, answer := range of["responses"].(map[string]any) {
				n, err := strconv.Atoi(status)
				if err != nil {
					panic(err)
				}
				where, resolved := c.resolve(answer, []string{"paths", path, method, "responses", status})
				one := &contractAnswer{map[string]*jsonschema.Schema{}, map[string]*jsonschema.Schema{}}
				headers, _ := resolved["headers"].(map[string]any)
				for name, header := range headers {
					at, _ := c.resolve(header, nil)
					one.headers[http.CanonicalHeaderKey(name)] = compile("open.json", append(at, "schema")...)
				}
				content, _ := resolved["content"].(map[string]any)
				for contentType := range content {
					one.bodies[contentType] = compile("closed.json", append(slices.Clone(where), "content", contentType, "schema")...)
				}
				op.answers[n] = one
			}
			c.operations = append(c.operations, op)
		}
	}
	return c
})

// closeObjects refuses members that are not known in every schema of an object inside of v that leaves that open.
func closeObjects(v any) {
	switch v := v.(type) {
	case map[string]any:
		if v["type"] == "object" && v["additionalProperties"] == nil {
			v["additionalProperties"] = false
		}
		for _, inner := range v {
			closeObjects(inner)
		}
	case []any:
		for _, inner := range v {
			closeObjects(inner)
		}
	}
}

// resolve returns what a reference names, and where it is; else value itself, which is at where.
func (c *contract) resolve(value any, where []string) ([]string, map[string]any) {
	o := value.(map[string]any)
	ref, ok := o["$ref"].(string)
	if !ok {
		return where, o
	}
	where = strings.Split(strings.TrimPrefix(ref, "#/"), "/")
	at := any(c.document)
	for _, name := range where {
		at = at.(map[string]any)[name]
	}
	return where, at.(map[string]any)
}

// find returns the operation that a request is for, nil if there is none.
func (c *contract) find(method, path string) *contractOperation {
	path, _, _ = strings.Cut(path, "?")
	if rest, ok := strings.CutPrefix(path, "/verify"); ok && (rest == "" || rest[0] == '/') {
		method, path = "GET", "/verify" // each is answered alike
		if name, ok := strings.CutPrefix(rest, "/p/"); ok {
			name, _, _ = strings.Cut(name, "/")
			path += "/p/" + name
		}
	}
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var found *contractOperation
	for _, op := range c.operations {
		if op.method == method && (op.path == path || found == nil && hasForm(op.path, path)) {
			found = op
			if op.path == path {
				break
			}
		}
	}
	return found
}

// hasForm says whether a path is one of a template with at most one parameter, at its end.
func hasForm(template, path string) bool {
	prefix, _, ok := strings.Cut(template, "{")
	rest, begins := strings.CutPrefix(path, prefix)
	return ok && begins && !strings.Contains(rest, "/") && (rest != "" || prefix == "/verify/p/")
}

// exchanged is a request and its answer. path has the query.
type exchanged struct {
	method, path string
	body         string
	reply
}

// Headers that every HTTP server sends, and those that the document names once for all answers.
var (
	plainHeaders = []string{"Connection", "Content-Length", "Content-Type", "Date", "Transfer-Encoding"}
	corsHeaders  = []string{
		"Vary", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Allow-Methods", "Access-Control-Allow-Headers", "Access-Control-Max-Age",
	}
)

// check says what of an exchange the document does not allow.
func (c *contract) check(e *exchanged) (op *contractOperation, faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	op = c.find(e.method, e.path)
	if op == nil {
		c.checkOutside(e, fault)
		return nil, faults
	}
	answer := op.answers[e.status]
	if answer == nil {
		fault("%s: the status %d is not documented", op.id, e.status)
		return op, faults
	}
	for name, values := range e.header {
		schema := answer.headers[name]
		switch {
		case schema != nil:
			for _, v := range values {
				if err := schema.Validate(v); err != nil {
					fault("%s: %d: the header %s: %v", op.id, e.status, name, err)
				}
			}
		case slices.Contains(plainHeaders, name), slices.Contains(corsHeaders, name):
		case strings.HasPrefix(op.id, "Verify") && strings.HasPrefix(name, "X-Session-Claim-"):
		default:
			fault("%s: %d: the header %s is not documented", op.id, e.status, name)
		}
	}
	if e.method != http.MethodHead {
		c.checkBody(op, e, answer, fault)
	}
	if c.wasUnderstood(e.status) {
		c.checkRequest(op, e, fault)
	}
	return op, faults
}

// checkBody looks at the body of an answer.
func (c *contract) checkBody(op *contractOperation, e *exchanged, answer *contractAnswer, fault func(string, ...any)) {
	if e.reply.body == "" && len(answer.bodies) == 0 {
		return
	}
	contentType, _, _ := mime.ParseMediaType(e.header.Get("Content-Type"))
	schema := answer.bodies[contentType]
	if schema == nil {
		fault("%s: %d: the content type %q is not documented", op.id, e.status, contentType)
		return
	}
	var value any = e.reply.body
	if strings.HasSuffix(contentType, "json") {
		var err error
		if value, err = jsonschema.UnmarshalJSON(strings.NewReader(e.reply.body)); err != nil {
			fault("%s: %d: %v", op.id, e.status, err)
			return
		}
	}
	if err := schema.Validate(value); err != nil {
		fault("%s: %d: %v: %.2000s", op.id, e.status, err, e.reply.body)
	}
}

// checkOutside looks at the answer to a request that is for no operation.
func (c *contract) checkOutside(e *exchanged, fault func(string, ...any)) {
	if e.method == http.MethodOptions && e.status == http.StatusNoContent && e.reply.body == "" {
		return // a preflight
	}
	if !slices.Contains([]int{400, 403, 404, 405, 408, 417, 431, 503}, e.status) {
		fault("%s %s is not documented, and answered with %d", e.method, e.path, e.status)
		return
	}
	if e.method == http.MethodHead {
		return
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(e.reply.body))
	if err != nil {
		fault("%s %s: %d: %v", e.method, e.path, e.status, err)
		return
	}
	if c.error.Validate(value) != nil && c.connectError.Validate(value) != nil {
		fault("%s %s: %d is no error: %s", e.method, e.path, e.status, e.reply.body)
	}
}

// wasUnderstood says whether an answer tells that its request was read and found valid.
func (c *contract) wasUnderstood(status int) bool {
	return status < 400 || slices.Contains([]int{404, 409, 412}, status)
}

// checkRequest looks at the parameters and the body of a request that was understood.
func (c *contract) checkRequest(op *contractOperation, e *exchanged, fault func(string, ...any)) {
	_, rawQuery, _ := strings.Cut(e.path, "?")
	query, _ := url.ParseQuery(rawQuery)
	for name, values := range query {
		i := slices.IndexFunc(op.parameters, func(p map[string]any) bool { return p["in"] == "query" && p["name"] == camel(name) })
		if i < 0 {
			continue // it is not looked at
		}
		schema := op.parameters[i]["schema"].(map[string]any)
		if _, err := strconv.ParseBool(values[0]); schema["type"] == "boolean" && err != nil {
			fault("%s: the query parameter %s is no boolean: %s", op.id, name, values[0])
		}
	}
	open := strings.Contains(strings.ReplaceAll(rawQuery, "_u", "U"), "ignoreUnknown=true")
	for _, text := range c.bodies(op, e) {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			fault("%s: the request: %v: %s", op.id, err, text)
			continue
		}
		schema, compiled := op.body, op.compiled
		if op.id == "ImportSessions" {
			schema, compiled = c.schema("PutSessionRequest"), c.put
		}
		if err := compiled.Validate(c.canonical(value, schema, open)); err != nil {
			fault("%s: the request: %v: %.2000s", op.id, err, text)
		}
	}
}

// schema returns a schema of the components.
func (c *contract) schema(name string) map[string]any {
	_, s := c.resolve(map[string]any{"$ref": "#/components/schemas/" + name}, nil)
	return s
}

// bodies are the JSON values in the body of a request: in an import one of each line that the answer does not find fault with.
func (c *contract) bodies(op *contractOperation, e *exchanged) (list []string) {
	switch {
	case strings.TrimSpace(e.body) == "" || op.body == nil || op.bodyType == "application/x-www-form-urlencoded":
		return nil
	case op.id != "ImportSessions":
		return []string{e.body}
	}
	var answer struct{ Errors []struct{ Line int } }
	if json.Unmarshal([]byte(e.reply.body), &answer) != nil || len(answer.Errors) == imports.MaxErrors {
		return nil
	}
	broken := map[int]bool{}
	for _, one := range answer.Errors {
		broken[one.Line] = true
	}
	for i, line := range strings.Split(e.body, "\n") {
		if strings.TrimSpace(line) != "" && !broken[i+1] {
			list = append(list, line)
		}
	}
	return list
}

// camel writes a name in lowerCamel.
func camel(name string) string {
	first, rest, ok := strings.Cut(name, "_")
	if !ok || rest == "" {
		return name
	}
	return camel(first + strings.ToUpper(rest[:1]) + rest[1:])
}

// canonical writes a request in the form that the document has, where the proto3 JSON mapping takes others too: snake_case
// names, numbers in the place of texts and texts in the place of numbers, enums by number, and null for what is left out.
// open leaves out members that are not known.
func (c *contract) canonical(value any, schema map[string]any, open bool) any {
	_, schema = c.resolve(schema, nil)
	if choices, ok := schema["oneOf"].([]any); ok {
		o, _ := value.(map[string]any)
		if _, wrapped := o["session"]; wrapped {
			return c.canonical(value, choices[1].(map[string]any), open)
		}
		return c.canonical(value, choices[0].(map[string]any), open)
	}
	properties, _ := schema["properties"].(map[string]any)
	others, _ := schema["additionalProperties"].(map[string]any)
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, inner := range v {
			if properties == nil && others != nil {
				out[name] = c.canonical(inner, others, open)
				continue
			}
			known, ok := properties[camel(name)].(map[string]any)
			switch {
			case inner == nil, !ok && open:
			case ok:
				out[camel(name)] = c.canonical(inner, known, open)
			default:
				out[name] = inner
			}
		}
		return out
	case []any:
		items, _ := schema["items"].(map[string]any)
		out := make([]any, len(v))
		for i := range v {
			if out[i] = v[i]; items != nil {
				out[i] = c.canonical(v[i], items, open)
			}
		}
		return out
	case json.Number:
		enum, _ := schema["enum"].([]any)
		n, err := strconv.Atoi(v.String())
		switch {
		case enum != nil && err == nil && n >= 0 && n < len(enum):
			return enum[n]
		case schema["type"] == "string":
			return v.String()
		}
	case string:
		if schema["type"] == "integer" {
			return json.Number(v)
		}
	}
	return value
}

// conforms fails the test if an exchange is not as the document says.
func (f *fixture) conforms(e *exchanged) {
	t, ok := f.t.(*testing.T)
	if !ok || f.server == nil {
		return // a benchmark, or the server is another program
	}
	t.Helper()
	c := theContract()
	if op := c.find(e.method, e.path); op != nil && f.server.config.Upstream != nil && handedOn(op.id) {
		return // the answer is ZITADEL's
	}
	op, faults := c.check(e)
	for _, fault := range faults {
		t.Errorf("%s %s: openapi.json: %s", e.method, e.path, fault)
	}
	if f.saw != nil && op != nil {
		f.saw(op, e)
	}
}

// handedOn says whether ZITADEL may answer an operation.
func handedOn(id string) bool {
	return !slices.Contains([]string{"PutSession", "ImportSessions", "RevokeSessions", "BackchannelLogout", "ZITADELEvent"}, id) && strings.HasSuffix(strings.TrimSuffix(id, "s"), "Session")
}
