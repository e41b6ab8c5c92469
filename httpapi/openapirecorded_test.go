package httpapi

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// recordedOtherwise is where answers of a real ZITADEL are not as our schemas of the same calls say, and why that is so.
// docs/api.md has these among the differences.
var recordedOtherwise = map[string]string{
	"/details: without processedSequence":              "ZITADEL leaves out zeros",
	"/details: without totalResult, processedSequence": "the same, where nothing matches",
	"/: without sessions":                              "it leaves out empty lists, too",
	"/details: without changeDate":                     "of a session that was never there, ZITADEL tells no details of its deletion",
	"/: with challenges":                               "challenges need an identity provider, and are refused here",
	"CreateSession: 200":                               "it was asked by gRPC-Web, which has a listener of its own here",
	"OPTIONS is no operation here":                     "preflights are answered if --cors-origins says so, and are no operations",
}

var position = regexp.MustCompile(`/[0-9]+(/|$)`)

// The answers of a real ZITADEL to calls that succeed are as the document says of ours, except where they differ on purpose.
func TestOpenAPI_TakesAnswersOfZITADEL(t *testing.T) {
	c := theContract()
	checked, cut, differences := 0, 0, map[string]int{}
	for _, e := range readRecording(t) {
		if e.Status/100 != 2 {
			continue
		}
		if e.Cut == "answer" {
			cut++
			continue
		}
		op := c.find(e.Method, e.Path)
		if op == nil {
			differences[e.Method+" is no operation here"]++
			continue
		}
		checked++
		answer := op.answers[e.Status]
		if answer == nil {
			differences[fmt.Sprintf("%s: %d", op.id, e.Status)]++
			continue
		}
		if e.Method == "HEAD" {
			continue
		}
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(e.Answer))
		if err != nil {
			t.Errorf("%s: %v", e.Name, err)
			continue
		}
		var kinds []string
		for _, schema := range answer.bodies {
			kinds = faultsOf(schema.Validate(value))
		}
		for _, one := range kinds {
			differences[one]++
		}
	}
	for one, n := range differences {
		if recordedOtherwise[one] == "" {
			t.Errorf("%d answers: %s", n, one)
		}
	}
	for one := range recordedOtherwise {
		if differences[one] == 0 {
			t.Errorf("no answer shows: %s", one)
		}
	}
	if checked != 232 || cut != 40 {
		t.Errorf("%d answers were looked at, and %d are cut, want 232 and 40", checked, cut)
	}
}

// faultsOf says what is wrong with a value, and where, each once; * is any position in a list.
func faultsOf(err error) (list []string) {
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return nil
	}
	var leaves func(e *jsonschema.ValidationError)
	leaves = func(e *jsonschema.ValidationError) {
		for _, cause := range e.Causes {
			leaves(cause)
		}
		if len(e.Causes) == 0 {
			where := position.ReplaceAllString("/"+strings.Join(e.InstanceLocation, "/"), "/*$1")
			what := strings.Join(e.ErrorKind.KeywordPath(), " ")
			switch k := e.ErrorKind.(type) {
			case *kind.Required:
				what = "without " + strings.Join(k.Missing, ", ")
			case *kind.AdditionalProperties:
				what = "with " + strings.Join(k.Properties, ", ")
			}
			if fault := where + ": " + what; !slices.Contains(list, fault) {
				list = append(list, fault)
			}
		}
	}
	leaves(invalid)
	return list
}
