package openapi

import (
	"fmt"
	"slices"
	"strings"
)

// page renders the document.
func page() ([]byte, error) {
	t, err := document()
	if err != nil {
		return nil, err
	}
	examples, err := Examples()
	if err != nil {
		return nil, err
	}
	title, version, summary := t.get("info", "title").text(), t.get("info", "version").text(), t.get("info", "summary").text()
	tags, schemas := t.get("tags").list, t.get("components", "schemas").names
	head := markup(`<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">`) +
		tag("title", "", text(title+" API")) + `<link rel="stylesheet" href="/docs/style.css">`
	contents := element("nav", []string{"aria-label", "Contents"},
		element("a", []string{"class", "home", "href", "#top"}, text(title), " ", tag("small", "", text("API "+version))),
		each(tags, t.contents),
		"<details>"+tag("summary", "", link("#schemas", "Schemas")),
		tag("ul", "", each(schemas, func(name string) markup { return tag("li", "", link("#schema-"+name, text(name))) })),
		"</details>",
	)
	body := element("main", []string{"id", "top"},
		tag("header", "", tag("h1", "", text(title)), tag("p", "lead", text(summary)),
			tag("p", "", "This page shows ", link("/openapi.json", "openapi.json"), "."), paragraphs(t.get("info", "description").text())),
		each(tags, func(of *tree) markup { return t.section(of, examples) }),
		element("section", []string{"id", "schemas"}, tag("h2", "", "Schemas"), each(schemas, t.schema)),
	)
	return []byte("<!DOCTYPE html>\n" + element("html", []string{"lang", "en"}, tag("head", "", head), tag("body", "", contents, body)) + "\n"), nil
}

// tagged calls of for each operation that has a tag.
func (t *tree) tagged(tag string, of func(path, method string, op *tree) markup) (m markup) {
	for _, path := range t.get("paths").names {
		for _, method := range methods {
			if op := t.get("paths", path, method); op != nil && op.get("tags").list[0].text() == tag {
				m += of(path, strings.ToUpper(method), op)
			}
		}
	}
	return m
}

// badge shows a method.
func badge(method string) markup { return tag("span", "method "+method, text(method)) }

// contents lists the operations of a tag.
func (t *tree) contents(of *tree) markup {
	name := of.get("name").text()
	list := t.tagged(name, func(_, method string, op *tree) markup {
		return tag("li", "", link("#"+op.get("operationId").text(), badge(method), " ", text(op.get("summary").text())))
	})
	return "<details open>" + tag("summary", "", link("#"+identifier(name), text(name))) + tag("ul", "", list) + "</details>"
}

// section shows a tag with its operations.
func (t *tree) section(of *tree, examples []Example) markup {
	name := of.get("name").text()
	return element("section", []string{"id", identifier(name)}, tag("h2", "", text(name)), paragraphs(of.get("description").text()),
		t.tagged(name, func(path, method string, op *tree) markup { return t.article(path, method, op, examples) }))
}

// article shows an operation.
func (t *tree) article(path, method string, op *tree, examples []Example) markup {
	id := op.get("operationId").text()
	examples = slices.DeleteFunc(slices.Clone(examples), func(e Example) bool { return e.Operation != id })
	return element("article", []string{"id", id},
		tag("h3", "", element("a", []string{"class", "self", "href", "#" + id}, text(op.get("summary").text()))),
		tag("p", "route", badge(method), " ", code(path), " ", tag("span", "call", text(id), when(op.get("security") != nil, ", without credentials"))),
		paragraphs(op.get("description").text()),
		t.parameters(op.get("parameters")),
		t.request(op.get("requestBody")),
		each(examples, func(e Example) markup { return e.shown(t.address(id)) }),
		t.answers(op.get("responses")),
	)
}

func required(of *tree) markup {
	return when(of.get("required").text() == "true", ", <b>required</b>")
}

// parameters shows those of an operation.
func (t *tree) parameters(list *tree) markup {
	if list == nil {
		return ""
	}
	return "<h4>Parameters</h4>" + tag("dl", "", each(list.list, func(p *tree) markup {
		p = t.resolve(p)
		return tag("dt", "", code(p.get("name").text()), " ", tag("small", "", text(p.get("in").text()), required(p))) +
			tag("dd", "", inline(p.get("description").text()), " ", tag("span", "type", t.typeOf(p.get("schema"))))
	}))
}

// request shows the body of a request.
func (t *tree) request(body *tree) markup {
	if body == nil {
		return ""
	}
	contentType := body.get("content").names[0]
	return "<h4>Body</h4>" + tag("p", "", tag("span", "type", t.typeOf(body.get("content", contentType, "schema"))), " ",
		tag("small", "", text(contentType), required(body)))
}

// shown shows an example.
func (e *Example) shown(address string) markup {
	answer := fmt.Sprintf("HTTP/1.1 %d", e.Status)
	for i := 0; i < len(e.AnswerHeaders); i += 2 {
		answer += "\n" + e.AnswerHeaders[i] + ": " + e.AnswerHeaders[i+1]
	}
	if e.Answer != nil {
		answer += "\n\n" + indented(e.Answer)
	}
	return `<details class="example" open>` + tag("summary", "", text(e.Name)) +
		tag("pre", "curl", tag("code", "", text(e.curl(address)))) + tag("pre", "", tag("code", "", text(answer))) + "</details>"
}

// everywhere are the headers that nearly every answer has, and that the page shows once.
var everywhere = []string{"X-Request-Id", "Cache-Control"}

func status(s string) markup { return tag("span", "status s"+s[:1], text(s)) }

// answers shows what an operation may answer, errors behind a line with their statuses.
func (t *tree) answers(responses *tree) markup {
	var good, errors, statuses markup
	for _, s := range responses.names {
		if one := t.answer(s, t.resolve(responses.get(s))); s < "400" {
			good += one
		} else {
			errors += one
			statuses += " " + status(s)
		}
	}
	return "<h4>Answers</h4>" + tag("dl", "answers", good) +
		when(errors != "", tag("details", "", tag("summary", "", "Errors", statuses), tag("dl", "answers", errors)))
}

func (t *tree) answer(s string, r *tree) markup {
	shown := tag("dt", "", status(s))
	about := inline(r.get("description").text())
	if content := r.get("content"); content != nil {
		for _, contentType := range content.names {
			about += " " + tag("span", "type", t.typeOf(content.get(contentType, "schema")), when(contentType != "application/json", text(", "+contentType)))
		}
	}
	var headers markup
	if list := r.get("headers"); list != nil {
		for _, name := range list.names {
			h := t.resolve(list.get(name))
			headers += when(!slices.Contains(everywhere, name), tag("dt", "", code(name))+
				tag("dd", "", inline(h.get("description").text()), " ", tag("span", "type", t.typeOf(h.get("schema")))))
		}
	}
	return shown + tag("dd", "", about, when(headers != "", tag("dl", "", headers)))
}
