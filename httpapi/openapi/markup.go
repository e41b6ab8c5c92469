package openapi

import (
	"html"
	"strings"
)

// markup is HTML. Only this file makes it of other text, which it escapes.
//
// There is no html/template here, because it calls methods by their names: with it the linker keeps every exported method of
// the whole program, which makes the program half as large again.
type markup string

// text escapes what is no markup.
func text(s string) markup { return markup(html.EscapeString(s)) }

// tag is an element with a class, none if that is "".
func tag(name, class string, inner ...markup) markup {
	if class == "" {
		return element(name, nil, inner...)
	}
	return element(name, []string{"class", class}, inner...)
}

// element is an element with attributes, which are names and values in turn.
func element(name string, attributes []string, inner ...markup) markup {
	var b strings.Builder
	b.WriteString("<" + name)
	for i := 0; i < len(attributes); i += 2 {
		b.WriteString(" " + attributes[i] + `="` + html.EscapeString(attributes[i+1]) + `"`)
	}
	b.WriteString(">")
	for _, m := range inner {
		b.WriteString(string(m))
	}
	b.WriteString("</" + name + ">")
	return markup(b.String())
}

// link leads to a place of the page, or to another page.
func link(to string, inner ...markup) markup { return element("a", []string{"href", to}, inner...) }

func code(s string) markup { return tag("code", "", text(s)) }

// each is what of makes of every value of a list.
func each[T any](list []T, of func(T) markup) markup {
	var b strings.Builder
	for _, v := range list {
		b.WriteString(string(of(v)))
	}
	return markup(b.String())
}

// when is m if yes is true, else nothing.
func when(yes bool, m markup) markup {
	if yes {
		return m
	}
	return ""
}

// paragraphs renders a description: paragraphs, with code in backticks and **bold**.
func paragraphs(s string) markup {
	var b strings.Builder
	for p := range strings.SplitSeq(strings.TrimSpace(s), "\n\n") {
		if p != "" {
			b.WriteString("<p>" + string(inline(p)) + "</p>")
		}
	}
	return markup(b.String())
}

// inline renders a line of a description.
func inline(s string) markup {
	escaped := pairs(string(text(s)), "`", "<code>", "</code>")
	return markup(pairs(escaped, "**", "<strong>", "</strong>"))
}

// pairs puts open and end in the place of each pair of marks.
func pairs(s, mark, open, end string) string {
	parts := strings.Split(s, mark)
	if len(parts)%2 == 0 {
		return s // one is left over
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
