package openapi

import (
	"bytes"
	"encoding/json"
	"html"
	"html/template"
	"strings"
)

// typeOf says in one line what a schema takes: its type, with a link if it has a name, and its limits.
func (t *tree) typeOf(s *tree) template.HTML {
	if s == nil {
		return ""
	}
	var b strings.Builder
	switch ref, list := s.get("$ref"), s.get("oneOf"); {
	case ref != nil:
		name := html.EscapeString(strings.TrimPrefix(ref.text(), "#/components/schemas/"))
		b.WriteString(`<a href="#schema-` + name + `">` + name + `</a>`)
	case list != nil:
		for i, one := range list.list {
			if i > 0 {
				b.WriteString(" or ")
			}
			b.WriteString(string(t.typeOf(one)))
		}
	case s.get("items") != nil:
		b.WriteString("list of " + string(t.typeOf(s.get("items"))))
	case len(s.get("additionalProperties").members()) > 0:
		b.WriteString("map of " + string(t.typeOf(s.get("additionalProperties"))))
	default:
		b.WriteString(html.EscapeString(s.get("type").text()))
	}
	for _, limit := range limits(s) {
		b.WriteString(`, ` + limit)
	}
	return template.HTML(b.String()) //nolint:gosec // it is escaped
}

// members returns the names of the members of an object; none of nil.
func (t *tree) members() []string {
	if t == nil {
		return nil
	}
	return t.names
}

// limits says what a schema asks for beside its type.
func limits(s *tree) (list []string) {
	text := func(name string) string { return html.EscapeString(s.get(name).text()) }
	if f := text("format"); f != "" {
		list = append(list, map[string]string{"date-time": "RFC 3339", "byte": "base64"}[f])
	}
	if values := s.get("enum"); values != nil {
		names := make([]string, len(values.list))
		for i, v := range values.list {
			names[i] = "<code>" + html.EscapeString(v.text()) + "</code>"
		}
		list = append(list, strings.Join(names, " or "))
	}
	for _, bound := range []struct{ least, most, of string }{
		{"minLength", "maxLength", " characters"}, {"minItems", "maxItems", " entries"}, {"minProperties", "maxProperties", " members"}, {"minimum", "maximum", ""},
	} {
		switch least, most := text(bound.least), text(bound.most); {
		case least != "" && least == most:
			list = append(list, "exactly "+least+bound.of)
		case least != "" && most != "":
			list = append(list, least+" to "+most+bound.of)
		case least != "":
			list = append(list, "at least "+least+bound.of)
		case most != "":
			list = append(list, "at most "+most+bound.of)
		}
	}
	if p := text("pattern"); p != "" {
		list = append(list, "like <code>"+p+"</code>")
	}
	if d := text("default"); d != "" {
		list = append(list, "by default <code>"+d+"</code>")
	}
	return list
}

// headerLines writes names and values in turn as lines.
func headerLines(headers []string) (lines []string) {
	for i := 0; i < len(headers); i += 2 {
		lines = append(lines, headers[i]+": "+headers[i+1])
	}
	return lines
}

// indented writes JSON over several lines; a text as it is.
func indented(value json.RawMessage) string {
	var text string
	if value == nil || json.Unmarshal(value, &text) == nil {
		return text
	}
	var b bytes.Buffer
	if json.Indent(&b, value, "", "  ") != nil {
		return string(value)
	}
	return b.String()
}
