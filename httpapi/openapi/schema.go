package openapi

import (
	"bytes"
	"encoding/json"
	"strings"
)

// typeOf says in one line what a schema takes: its type, with a link if it has a name, and its limits.
func (t *tree) typeOf(s *tree) markup {
	if s == nil {
		return ""
	}
	var m markup
	switch ref, list := s.get("$ref"), s.get("oneOf"); {
	case ref != nil:
		name := strings.TrimPrefix(ref.text(), "#/components/schemas/")
		m = link("#schema-"+name, text(name))
	case list != nil:
		for i, one := range list.list {
			m += when(i > 0, " or ") + t.typeOf(one)
		}
	case s.get("items") != nil:
		m = "list of " + t.typeOf(s.get("items"))
	case s.get("additionalProperties") != nil && s.get("additionalProperties").scalar == nil:
		m = "map of " + t.typeOf(s.get("additionalProperties"))
	default:
		m = text(s.get("type").text())
	}
	return m + each(limits(s), func(limit markup) markup { return ", " + limit })
}

// limits says what a schema asks for beside its type.
func limits(s *tree) (list []markup) {
	if f := s.get("format").text(); f != "" {
		list = append(list, text(map[string]string{"date-time": "RFC 3339", "byte": "base64"}[f]))
	}
	if values := s.get("enum"); values != nil {
		var names markup
		for i, v := range values.list {
			names += when(i > 0, " or ") + code(v.text())
		}
		list = append(list, names)
	}
	for _, bound := range []struct{ least, most, of string }{
		{"minLength", "maxLength", " characters"}, {"minItems", "maxItems", " entries"}, {"minProperties", "maxProperties", " members"}, {"minimum", "maximum", ""},
	} {
		switch least, most := s.get(bound.least).text(), s.get(bound.most).text(); {
		case least != "" && least == most:
			list = append(list, text("exactly "+least+bound.of))
		case least != "" && most != "":
			list = append(list, text(least+" to "+most+bound.of))
		case least != "":
			list = append(list, text("at least "+least+bound.of))
		case most != "":
			list = append(list, text("at most "+most+bound.of))
		}
	}
	if p := s.get("pattern").text(); p != "" {
		list = append(list, "like "+code(p))
	}
	if d := s.get("default").text(); d != "" {
		list = append(list, "by default "+code(d))
	}
	return list
}

// schema shows a schema of the components, with its members.
func (t *tree) schema(name string) markup {
	s := t.get("components", "schemas", name)
	return element("article", []string{"id", "schema-" + name, "class", "schema"},
		tag("h3", "", element("a", []string{"class", "self", "href", "#schema-" + name}, text(name))),
		tag("p", "", tag("span", "type", t.typeOf(s)), when(s.get("additionalProperties").text() == "false", " <small>Unknown members are refused.</small>")),
		paragraphs(s.get("description").text()),
		when(s.get("properties") != nil, tag("dl", "", t.properties("", s))),
	)
}

// properties shows the members of an object, and those of objects without a name in it behind these. prefix is where the
// object is.
func (t *tree) properties(prefix string, s *tree) (m markup) {
	properties := s.get("properties")
	if properties == nil {
		return ""
	}
	required := map[string]bool{}
	if names := s.get("required"); names != nil {
		for _, name := range names.list {
			required[name.text()] = true
		}
	}
	for _, name := range properties.names {
		p := properties.get(name)
		description := inline(p.get("description").text())
		m += tag("dt", "", code(prefix+name), when(required[name], " <small><b>required</b></small>")) +
			tag("dd", "", tag("span", "type", t.typeOf(p)), when(description != "", "<br>"+description)) +
			t.properties(prefix+name+".", p)
	}
	return m
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
