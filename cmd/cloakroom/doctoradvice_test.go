package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/doctor"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// consultation tries an advice of the doctor: state brings a server into the
// state that it is for, and returns the arguments of doctor. follow does what the
// advice says, and returns the arguments afterwards, nil if they stay.
type consultation struct {
	advice string // how it begins in the code; of a setting: "CONFIG SET name"
	state  func(t *testing.T) (args []string, follow func(t *testing.T, fix string) []string)
}

// sound is a configuration that doctor is content with.
var sound = []string{"maxmemory 100mb", "appendonly yes", "hash-max-listpack-value 4096"}

// consult runs doctor. An argument that is no flag is a variable of its environment.
func consult(t *testing.T, args []string) *report {
	t.Helper()
	env, flags := []string{"PATH=" + os.Getenv("PATH")}, []string{"doctor", "--json"}
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			flags = append(flags, a)
		} else {
			env = append(env, a)
		}
	}
	code, text, stderr := examined(t, env, flags)
	r := &report{}
	if err := json.Unmarshal([]byte(text), r); err != nil || code == exitUsage {
		t.Fatalf("doctor %q: exit code %d, %v: %s%s", args, code, err, text, stderr)
	}
	return r
}

// examined runs doctor with an environment: in a process of its own if that names certificates, which are read once.
func examined(t *testing.T, env, flags []string) (code int, text, stderr string) {
	t.Helper()
	if !slices.ContainsFunc(env, func(v string) bool { return strings.HasPrefix(v, "SSL_CERT_FILE=") }) {
		return onceWith(t, env, flags...)
	}
	cmd := selfCommand(t, flags...)
	cmd.Env = append(cmd.Env, env...)
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), log.String()
}

// found finds who gives an advice.
func (r *report) found(advice *regexp.Regexp) (f doctor.Finding, fix string) {
	for _, f := range r.Findings {
		for _, fix := range f.Fix {
			if advice.MatchString(fix) {
				return f, fix
			}
		}
	}
	return doctor.Finding{}, ""
}

func (r *report) String() string {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%s %s %s: %s %q\n", f.Status, f.Check, f.Node, f.Found, f.Fix)
	}
	return b.String()
}

// Every advice that the doctor gives is followed, and then it is content.
func TestDoctor_EveryAdviceHelps(t *testing.T) {
	t.Parallel()
	places := make(chan struct{}, 4) // a row may have many servers
	hasTurn := testdepth.OneIn(t, 4)
	for i, c := range consultations() {
		if !hasTurn(i) {
			continue
		}
		format := adviceOf(t, c.advice)
		t.Run(strings.ReplaceAll(c.advice, "/", "_"), func(t *testing.T) {
			t.Parallel()
			places <- struct{}{}
			defer func() { <-places }()
			args, follow := c.state(t)
			before := consult(t, args)
			f, fix := before.found(format)
			if fix == "" {
				t.Fatalf("the advice was not given:\n%s", before)
			}
			if after := follow(t, fix); after != nil {
				args = after
			}
			for _, again := range consult(t, args).Findings {
				if again.Status == doctor.Fail || again.Check == f.Check && again.Status != doctor.OK {
					t.Errorf("after %q:\n%s %s %s: %s %q\nit was %s: %s", fix, again.Status, again.Check, again.Node, again.Found, again.Fix, f.Status, f.Found)
				}
			}
		})
	}
}

// Every advice in the code has a row, and every row its advice.
func TestDoctor_EveryAdviceIsTried(t *testing.T) {
	t.Parallel()
	tried := map[string]bool{}
	for _, c := range consultations() {
		tried[adviceOf(t, c.advice).String()] = true
	}
	for _, text := range advices(t) {
		if !tried[pattern(text).String()] {
			t.Errorf("no row follows this advice: %s", text)
		}
	}
}

// adviceOf returns the one advice in the code that begins so.
func adviceOf(t *testing.T, beginning string) *regexp.Regexp {
	t.Helper()
	var found []string
	for _, text := range advices(t) {
		if text == beginning+" " || strings.HasPrefix(text, beginning) && !strings.HasPrefix(text, "CONFIG SET ") {
			found = append(found, text)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d advices begin with %q: %q", len(found), beginning, found)
	}
	return pattern(found[0])
}

// pattern matches a format with whatever is put into it.
func pattern(format string) *regexp.Regexp {
	return regexp.MustCompile("^" + regexp.MustCompile(`%[sdv]`).ReplaceAllString(regexp.QuoteMeta(format), ".*"))
}

// advices are the texts of all calls of remedy and setting in the doctor's code.
func advices(t *testing.T) (texts []string) {
	t.Helper()
	files, err := filepath.Glob("../../internal/doctor/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("the doctor's code is not there", err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name, ok := call.Fun.(*ast.Ident)
			if !ok || name.Name != "remedy" && name.Name != "setting" {
				return true
			}
			literal, ok := call.Args[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s: an advice whose text does not stand in the code", file)
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			if name.Name == "setting" {
				text = "CONFIG SET " + text + " "
			}
			if !seen[text] {
				seen[text] = true
				texts = append(texts, text)
			}
			return true
		})
	}
	return texts
}

// obey has a server do the command that an advice begins with.
func obey(s *redistest.Server, fix string) {
	for _, end := range []string{", and ", ", or ", "; "} {
		fix, _, _ = strings.Cut(fix, end)
	}
	command(s, fix)
}

func command(s *redistest.Server, line string) {
	var words []any
	for w := range strings.FieldsSeq(line) {
		words = append(words, w)
	}
	s.Do(words...)
}
