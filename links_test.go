package cloakroom_test

import (
	"fmt"
	"net/url"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

var (
	fence      = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	heading    = regexp.MustCompile(`(?m)^#{1,6} +(.*?) *#*$`)
	mdLink     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	linkText   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	dropped    = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	// named is a document that a comment, a message or a setting names, by its path in the repository.
	named = regexp.MustCompile(`(?:^|[^\w./-])((?:docs/[\w-]+|bench/README|README|ARCHITECTURE|CHANGELOG|SECURITY)\.md)(#[\w-]+)?`)
)

// anchors returns what "#name" may follow a document, as GitHub names headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		name := linkText.ReplaceAllString(m[1], "$1")
		name = strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(name), ""), " ", "-")
		unique := name
		for i := 1; found[unique]; i++ {
			unique = fmt.Sprintf("%s-%d", name, i)
		}
		found[unique] = true
	}
	return found
}

// linkFault says what is wrong with a link from a file, "" if nothing is: what a relative one leads to must be there, heading included; of
// others the form is looked at.
func linkFault(from, link string, read func(file string) (string, error)) string {
	u, err := url.Parse(link)
	if err != nil {
		return err.Error()
	}
	if u.Scheme != "" || u.Host != "" {
		if u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(link, "<>`\"") {
			return "is no web address"
		}
		return ""
	}
	if path.IsAbs(u.Path) {
		return "is absolute"
	}
	to := from
	if u.Path != "" {
		to = path.Join(path.Dir(from), u.Path)
	}
	if to == ".." || strings.HasPrefix(to, "../") {
		return "leads out of the repository"
	}
	if u.Fragment == "" {
		_, err = os.Stat(to)
	} else {
		var text string
		if text, err = read(to); err == nil && !anchors(text)[u.Fragment] {
			return "names no heading"
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestLinks_LeadSomewhere(t *testing.T) {
	texts := map[string]string{}
	read := func(file string) (string, error) {
		if text, ok := texts[file]; ok {
			return text, nil
		}
		text, err := os.ReadFile(file)
		texts[file] = string(text)
		return string(text), err
	}
	links, names := 0, 0
	for _, file := range files(t, ".md") {
		prose := inlineCode.ReplaceAllString(fence.ReplaceAllString(readFile(t, file), ""), "")
		for _, m := range mdLink.FindAllStringSubmatch(prose, -1) {
			links++
			if fault := linkFault(file, m[1], read); fault != "" {
				t.Errorf("%s: the link %s %s", file, m[1], fault)
			}
		}
	}
	// Settings, scripts and programs name documents by their path from the root.
	for _, file := range files(t, ".go", ".yaml", ".conf", ".cfg", ".lua", ".service", ".socket", ".target", ".json", ".sh", "", ".mjs", ".proto", ".local") {
		if strings.HasPrefix(file, "bench/results/") || strings.HasPrefix(file, "test/torture/results/") {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(readFile(t, file), -1) {
			names++
			if fault := linkFault("README.md", m[1]+m[2], read); fault != "" {
				t.Errorf("%s: the name %s%s %s", file, m[1], m[2], fault)
			}
		}
	}
	if links < 100 || names < 50 {
		t.Errorf("there are %d links, and %d names of documents elsewhere", links, names)
	}
}

func TestLinks_FaultsAreFound(t *testing.T) {
	read := func(string) (string, error) {
		return "# Some `--flag`, and more\n## Twice\n## Twice\n```sh\n# no heading\n```\n## [Linked](x.md) é_1\n", nil
	}
	f := func(link string, ok bool) {
		t.Helper()
		if fault := linkFault("docs/api.md", link, read); (fault == "") != ok {
			t.Errorf("%s: %q", link, fault)
		}
	}
	for _, good := range []string{"#some---flag-and-more", "#twice", "#twice-1", "verify.md", "../README.md", "../deploy", "verify.md#linked-é_1", "https://example.com/a#b"} {
		f(good, true)
	}
	for _, bad := range []string{"#twice-2", "#no-heading", "none.md", "../../x.md", "/docs/api.md", "https:///x", "ftp://example.com", "https://a@example.com/", "%zz"} {
		f(bad, false)
	}
}
