package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/result"
)

//go:embed theme.css
var themeCSS string

// theme returns the colours, for light and dark pages.
func theme() string {
	var b strings.Builder
	b.WriteString(themeCSS)
	b.WriteString(":root { ")
	for i := range inks {
		fmt.Fprintf(&b, "--faint-%d: color-mix(in srgb, var(--ink-%d) 48%%, var(--card)); ", i, i)
	}
	b.WriteString("}")
	return b.String()
}

// renderSVG returns the latencies by percentile of all runs of the results, as an SVG that stands for itself.
func renderSVG(title string, results []*result.File) ([]byte, error) {
	var all result.Result
	for _, r := range results {
		all.Runs = append(all.Runs, r.Runs...)
	}
	f, err := percentilesFigure(&all)
	if err != nil {
		return nil, err
	}
	if f == nil {
		return nil, errors.New("report: no run is valid, so there is nothing to plot")
	}
	return f.alone(title), nil
}

// alone returns the plot with its colours, and its legend above it.
func (f *figureView) alone(title string) []byte {
	const row, top, left, mark = 18, 6, 12, 22
	legend := top + row*len(f.Legend)
	var height int
	_, _ = fmt.Sscanf(string(f.SVG), fmt.Sprintf(`<svg viewBox="0 0 %d %%d"`, plotWidth), &height)
	title = template.HTMLEscapeString(title)
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s" font-family="'Liberation Sans', Arial, Helvetica, sans-serif" font-size="13">`+"\n", plotWidth, height+legend, title)
	fmt.Fprintf(&out, "<title>%s</title>\n<style>\n%s\nrect.card { fill: var(--card) }\n</style>\n", title, theme())
	fmt.Fprintf(&out, `<rect class="card" width="%d" height="%d" rx="8"/>`+"\n", plotWidth, height+legend)
	for i, l := range f.Legend {
		y, dashes := top+row*i+row/2, ""
		if l.Mark == "dashed" {
			dashes = ` stroke-dasharray="5 3"`
		}
		fmt.Fprintf(&out, `<path d="M%d %dh%d" style="stroke:var(--ink-%d);stroke-width:2.5"%s/><text x="%d" y="%d" style="fill:var(--ink-%d)">%s</text>`+"\n",
			left, y, mark, l.Ink, dashes, left+mark+8, y+4, inkText, template.HTMLEscapeString(l.Text))
	}
	nested := fmt.Sprintf(`<svg y="%d" width="%d" height="%d"`, legend, plotWidth, height)
	out.WriteString(strings.Replace(string(f.SVG), "<svg", nested, 1))
	out.WriteString("\n</svg>\n")
	return out.Bytes()
}
