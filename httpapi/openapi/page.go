package openapi

import (
	"bytes"
	_ "embed"
	"html"
	"html/template"
	"slices"
	"strings"
)

//go:embed page.html
var pageText string

// What page.html shows.
type (
	// section is a tag, with its operations.
	section struct {
		Name, ID    string
		Description template.HTML
		Operations  []operation
	}
	operation struct {
		ID, Method, Path, Summary string
		Description               template.HTML
		Open                      bool
		Parameters                []parameter
		Body                      *body
		Answers, Errors           []answer
		Examples                  []shownExample
	}
	parameter struct {
		Name, In    string
		Required    bool
		Type        template.HTML
		Description template.HTML
	}
	body struct {
		ContentType string
		Required    bool
		Type        template.HTML
	}
	answer struct {
		Status      string
		Description template.HTML
		Headers     []parameter
		Bodies      []body
	}
	shownExample struct {
		Name, Curl, Answer string
		Status             int
		Headers            []string
	}
	// schema is a schema of the components, with its members.
	schema struct {
		Name        string
		Type        template.HTML
		Description template.HTML
		Members     []parameter
		Closed      bool
	}
)

// page renders the document.
func page() ([]byte, error) {
	t, err := document()
	if err != nil {
		return nil, err
	}
	list, err := Examples()
	if err != nil {
		return nil, err
	}
	data := struct {
		Title, Version, Summary string
		Description             template.HTML
		Sections                []section
		Schemas                 []schema
	}{
		Title: t.get("info", "title").text(), Version: t.get("info", "version").text(), Summary: t.get("info", "summary").text(),
		Description: paragraphs(t.get("info", "description").text()),
		Schemas:     t.schemas(),
	}
	for _, tag := range t.get("tags").list {
		name := tag.get("name").text()
		data.Sections = append(data.Sections, section{
			Name: name, ID: identifier(name), Description: paragraphs(tag.get("description").text()), Operations: t.operations(name, list),
		})
	}
	parsed, err := template.New("page").Parse(pageText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = parsed.Execute(&b, data)
	return b.Bytes(), err
}

// operations returns those that have a tag.
func (t *tree) operations(tag string, examples []Example) (list []operation) {
	paths := t.get("paths")
	for _, path := range paths.names {
		for _, method := range methods {
			op := paths.get(path, method)
			if op == nil || op.get("tags").list[0].text() != tag {
				continue
			}
			one := operation{
				ID: op.get("operationId").text(), Method: strings.ToUpper(method), Path: path, Summary: op.get("summary").text(),
				Description: paragraphs(op.get("description").text()), Open: op.get("security") != nil,
			}
			for _, a := range t.answers(op.get("responses")) {
				if a.Status < "400" {
					one.Answers = append(one.Answers, a)
				} else {
					one.Errors = append(one.Errors, a)
				}
			}
			if list := op.get("parameters"); list != nil {
				for _, p := range list.list {
					p = t.resolve(p)
					one.Parameters = append(one.Parameters, parameter{
						Name: p.get("name").text(), In: p.get("in").text(), Required: p.get("required").text() == "true",
						Type: t.typeOf(p.get("schema")), Description: inline(p.get("description").text()),
					})
				}
			}
			if request := op.get("requestBody"); request != nil {
				bodies := t.bodies(request.get("content"))
				one.Body = &bodies[0]
				one.Body.Required = request.get("required").text() == "true"
			}
			for i := range examples {
				if e := &examples[i]; e.Operation == one.ID {
					one.Examples = append(one.Examples, shownExample{
						Name: e.Name, Curl: e.curl(t.address(one.ID)), Status: e.Status, Headers: headerLines(e.AnswerHeaders), Answer: indented(e.Answer),
					})
				}
			}
			list = append(list, one)
		}
	}
	return list
}

// everywhere are the headers that nearly every answer has, and that the page shows once.
var everywhere = []string{"X-Request-Id", "Cache-Control"}

// answers returns what an operation may answer.
func (t *tree) answers(responses *tree) (list []answer) {
	for _, status := range responses.names {
		r := t.resolve(responses.get(status))
		one := answer{Status: status, Description: inline(r.get("description").text()), Bodies: t.bodies(r.get("content"))}
		if headers := r.get("headers"); headers != nil {
			for _, name := range headers.names {
				if slices.Contains(everywhere, name) {
					continue
				}
				h := t.resolve(headers.get(name))
				one.Headers = append(one.Headers, parameter{Name: name, Type: t.typeOf(h.get("schema")), Description: inline(h.get("description").text())})
			}
		}
		list = append(list, one)
	}
	return list
}

func (t *tree) bodies(content *tree) (list []body) {
	if content == nil {
		return nil
	}
	for _, contentType := range content.names {
		list = append(list, body{ContentType: contentType, Type: t.typeOf(content.get(contentType, "schema"))})
	}
	return list
}

// schemas returns all schemas of the components.
func (t *tree) schemas() (list []schema) {
	all := t.get("components", "schemas")
	for _, name := range all.names {
		s := all.get(name)
		one := schema{Name: name, Type: t.typeOf(s), Description: paragraphs(s.get("description").text()), Closed: s.get("additionalProperties").text() == "false"}
		one.Members = t.membersOf(s)
		list = append(list, one)
	}
	return list
}

// membersOf returns the members of an object, and those of objects without a name in it behind these.
func (t *tree) membersOf(s *tree) (list []parameter) {
	properties := s.get("properties")
	if properties == nil {
		return nil
	}
	required := map[string]bool{}
	if names := s.get("required"); names != nil {
		for _, name := range names.list {
			required[name.text()] = true
		}
	}
	for _, name := range properties.names {
		p := properties.get(name)
		list = append(list, parameter{Name: name, Required: required[name], Type: t.typeOf(p), Description: inline(p.get("description").text())})
		for _, inner := range t.membersOf(p) {
			inner.Name = name + "." + inner.Name
			list = append(list, inner)
		}
	}
	return list
}

// paragraphs renders a description: paragraphs, with code in backticks and **bold**.
func paragraphs(text string) template.HTML {
	var b strings.Builder
	for p := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if p != "" {
			b.WriteString("<p>" + string(inline(p)) + "</p>")
		}
	}
	return template.HTML(b.String()) //nolint:gosec // inline escapes it
}

// inline renders a line of a description.
func inline(text string) template.HTML {
	text = html.EscapeString(text)
	text = pairs(text, "`", "<code>", "</code>")
	return template.HTML(pairs(text, "**", "<strong>", "</strong>")) //nolint:gosec // it is escaped
}

// pairs puts open and end in the place of each pair of marks.
func pairs(text, mark, open, end string) string {
	parts := strings.Split(text, mark)
	if len(parts)%2 == 0 {
		return text // one is left over
	}
	var b strings.Builder
	for i, part := range parts {
		switch {
		case i == 0:
		case i%2 == 1:
			b.WriteString(open)
		default:
			b.WriteString(end)
		}
		b.WriteString(part)
	}
	return b.String()
}
