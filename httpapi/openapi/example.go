package openapi

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// Example is a request of an operation, and its answer.
type Example struct {
	// Operation is the operationId.
	Operation string
	// Name says what is asked for. It is unique in the operation.
	Name string
	// Golden is the exchange that it is, as FILE: TITLE; "" for one that a test takes from elsewhere.
	Golden string `json:",omitempty"`
	Method string
	// Path has the query, too.
	Path string
	// Headers are names and values in turn.
	Headers []string `json:",omitempty"`
	// Body and Answer are the bodies. Those that are not JSON are a text of JSON. nil: there is none.
	Body   json.RawMessage `json:",omitempty"`
	Status int
	// AnswerHeaders are the headers of the answer that say something, as Headers.
	AnswerHeaders []string        `json:",omitempty"`
	Answer        json.RawMessage `json:",omitempty"`
}

//go:embed examples.jsonl
var examples []byte

// Examples returns the examples of all operations, in order.
func Examples() (list []Example, err error) {
	for d := json.NewDecoder(bytes.NewReader(examples)); d.More(); {
		var e Example
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("examples.jsonl: %w", err)
		}
		list = append(list, e)
	}
	return list, nil
}

// addExamples puts every example where the document has its request and its answer, and as a line of curl.
func (t *tree) addExamples() error {
	list, err := Examples()
	if err != nil {
		return err
	}
	for i := range list {
		e := &list[i]
		op := t.operation(e.Operation)
		if op == nil {
			return fmt.Errorf("examples.jsonl: there is no operation %s", e.Operation)
		}
		if err := addBody(op.get("requestBody", "content"), e.Name, e.Body); err != nil {
			return err
		}
		if err := addBody(t.resolve(op.get("responses", strconv.Itoa(e.Status))).get("content"), e.Name, e.Answer); err != nil {
			return err
		}
		if op.get("x-codeSamples") == nil {
			op.set("x-codeSamples", &tree{isList: true})
		}
		sample := &tree{}
		for _, member := range [][2]string{{"lang", "Shell"}, {"label", e.Name}, {"source", e.curl(t.address(e.Operation))}} {
			value, err := scalar(member[1])
			if err != nil {
				return err
			}
			sample.set(member[0], value)
		}
		samples := op.get("x-codeSamples")
		samples.list = append(samples.list, sample)
	}
	return nil
}

// addBody adds an example to the one content type of a body; to none if content is nil.
func addBody(content *tree, name string, body json.RawMessage) error {
	if content == nil || body == nil {
		return nil
	}
	media := content.values[content.names[0]]
	if content.names[0] == "application/x-www-form-urlencoded" {
		var err error
		if body, err = formAsJSON(body); err != nil {
			return err
		}
	}
	if media.get("examples") == nil {
		media.set("examples", &tree{})
	}
	summary, err := scalar(name)
	if err != nil {
		return err
	}
	one := &tree{}
	one.set("summary", summary)
	one.set("value", &tree{scalar: body})
	media.get("examples").set(identifier(name), one)
	return nil
}

// formAsJSON writes a form, which is a text of JSON, as the object that a schema describes.
func formAsJSON(body json.RawMessage) (json.RawMessage, error) {
	var text string
	if err := json.Unmarshal(body, &text); err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(text)
	if err != nil {
		return nil, err
	}
	fields := map[string]string{}
	for name := range form {
		fields[name] = form.Get(name)
	}
	return json.Marshal(fields)
}

// identifier makes a name of letters, digits and hyphens.
func identifier(name string) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', '0' <= r && r <= '9':
			return r
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, name), "-")
}

// curl is the request as a line for a shell. The key and the token of the example are not good: API_KEY stands for them.
func (e *Example) curl(address string) string {
	var b strings.Builder
	b.WriteString("curl -s")
	if e.Method != "GET" {
		b.WriteString(" -X " + e.Method)
	}
	b.WriteString(" " + quoted(address+e.Path))
	for i := 0; i < len(e.Headers); i += 2 {
		header := e.Headers[i] + ": " + e.Headers[i+1]
		b.WriteString(" \\\n  -H " + quoted(header))
	}
	if e.Body != nil {
		body := string(e.Body)
		if len(body) > longBody || body[0] == '"' {
			body = indented(e.Body)
		}
		b.WriteString(" \\\n  --data-binary " + quoted(body))
	}
	return b.String()
}

// longBody is the length of a body, in bytes, from which on it is shown over several lines.
const longBody = 72

// quoted puts text in single quotes, for a shell, where it needs them.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
