package openapi

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// The page shows every operation, schema and example of the document; its links lead somewhere; and it has nothing that its
// Content-Security-Policy forbids, or that is loaded from elsewhere.
func TestPage_ShowsTheDocument(t *testing.T) {
	text, err := page()
	if err != nil {
		t.Fatal(err)
	}
	shown := string(text)
	d, err := document()
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]int{}
	for _, m := range regexp.MustCompile(` id="([^"]*)"`).FindAllStringSubmatch(shown, -1) {
		if ids[m[1]]++; ids[m[1]] > 1 {
			t.Errorf("the id %s is there twice", m[1])
		}
	}
	want := func(id string) {
		t.Helper()
		if ids[id] == 0 {
			t.Errorf("%s is not shown", id)
		}
	}
	operations := 0
	for _, path := range d.get("paths").names {
		for _, method := range methods {
			if op := d.get("paths", path, method); op != nil {
				operations++
				want(op.get("operationId").text())
			}
		}
	}
	if operations != 35 {
		t.Errorf("there are %d operations", operations)
	}
	for _, name := range d.get("components", "schemas").names {
		want("schema-" + name)
	}
	list, err := Examples()
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(shown, `<pre class="curl">`); n != len(list) || n < operations {
		t.Errorf("%d examples are shown, want %d", n, len(list))
	}
	for _, m := range regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(shown, -1) {
		if id, inside := strings.CutPrefix(m[1], "#"); inside {
			want(id)
		} else if m[1] != "/docs/style.css" && m[1] != "/openapi.json" {
			t.Errorf("the page leads to %s", m[1])
		}
	}
	if m := regexp.MustCompile(`(?i)<(script|style|iframe|img|form|object)|\s(style|on[a-z]+)=`).FindString(shown); m != "" {
		t.Errorf("the page has %q", m)
	}
	if strings.Contains(string(style), "url(") || strings.Contains(string(style), "@import") {
		t.Error("the style sheet loads something")
	}
}

// What the source says is text, not markup.
func TestPage_EscapesDescriptions(t *testing.T) {
	const want = "<p>a &lt;b&gt; <code>&lt;c&gt;</code> <strong>d</strong> `</p><p>&amp;</p>"
	if got := string(paragraphs("a <b> `<c>` **d**\n\n&\n")); got != strings.Replace(want, " `<", "<", 1) {
		t.Errorf("got %s", got)
	}
	if got := string(inline("one ` is left")); got != "one ` is left" {
		t.Errorf("got %s", got)
	}
}

// The document is in the order of its source, and what aliases and merges stand for is written out.
func TestMerged_KeepsTheOrder(t *testing.T) {
	files := fstest.MapFS{
		"spec/openapi.yaml":   {Data: []byte("z: 1\na: {x: &x {k: [1, \"2\"], l: true}}\n")},
		"spec/deep/more.yaml": {Data: []byte("a: {y: &y {m: 1.5, k: null}, w: {<<: *y, k: &v text, n: *v}}\n")},
		"spec/README":         {Data: []byte("not YAML: [")},
	}
	all, err := merged(files)
	if err != nil {
		t.Fatal(err)
	}
	got, err := all.appendJSON(nil)
	if want := `{"z":1,"a":{"x":{"k":[1,"2"],"l":true},"y":{"m":1.5,"k":null},"w":{"m":1.5,"k":"text","n":"text"}}}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	files["spec/twice.yaml"] = &fstest.MapFile{Data: []byte("a: {x: {l: false}}\n")}
	if _, err := merged(files); err == nil || err.Error() != "spec/twice.yaml: a: x: l is given twice" {
		t.Errorf("got %v", err)
	}
	files["spec/twice.yaml"] = &fstest.MapFile{Data: []byte("a: [")}
	if _, err := merged(files); err == nil || !strings.HasPrefix(err.Error(), "spec/twice.yaml: yaml: ") {
		t.Errorf("got %v", err)
	}
}

// A line of curl is taken by a shell as it is, whatever is in it.
func TestExample_Curl(t *testing.T) {
	e := Example{Method: "PUT", Path: "/v2/sessions/it's?a=b", Headers: []string{"If-Match", `"1"`}, Body: json.RawMessage(`{"a":"it's"}`)}
	want := `curl -s -X PUT 'http://h/v2/sessions/it'\''s?a=b' \` + "\n" + `  -H 'If-Match: "1"' \` + "\n" + `  --data-binary '{"a":"it'\''s"}'`
	if got := e.curl("http://h"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
