package sessions

import (
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/config"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

// option is one flag. Parsing, help and completion all come from it.
type option struct {
	name, def, help string
	kind            kind
	words           []string // all values there are, nil if it is free
}

type kind uint8

const (
	once  kind = iota
	often      // may repeat
	file       // once, the path of a file
	onOff      // a switch
)

// group is a heading of help and the flags below it.
type group struct {
	heading string
	options []option
}

// defaultURL is where a sidecar listens by default.
const defaultURL = "http://127.0.0.1:8080"

// The groups that several verbs have.
var (
	sidecar = group{"The sidecar:", []option{
		{name: "url", def: defaultURL, help: "where it listens: http://HOST:PORT, https://HOST or unix:PATH; default " + defaultURL},
		{name: "key-file", kind: file, help: "file with the API key, or another credential, and nothing else; without it, " + config.APIKeyEnv + " has it"},
		{name: "ca-file", kind: file, help: "PEM file with the CAs that the certificate of an https sidecar may come from; without it, those of the system"},
		{name: "cert-file", kind: file, help: "PEM file with a certificate for a sidecar that asks for one"},
		{name: "cert-key-file", kind: file, help: "PEM file with the key of that certificate"},
	}}
	freshOption = option{name: "fresh", kind: onOff, help: "ask Redis' masters, past all copies"}
	reads       = group{"How:", []option{freshOption}}
)

// Flags returns the flags of the verb.
func (v *Verb) Flags() *pflag.FlagSet {
	flags := usage.NewFlags()
	for _, g := range v.groups {
		for _, o := range g.options {
			if o.kind == onOff {
				flags.Bool(o.name, false, o.help)
				continue
			}
			flags.StringArray(o.name, nil, o.help)
			f := flags.Lookup(o.name)
			if o.kind == file {
				usage.TakesFile(f)
			}
			if o.words != nil {
				usage.TakesWord(f, o.words...)
			}
		}
	}
	return flags
}

// values are the values of flags, by name.
type values map[string][]string

// read returns what the flags say, and adds what is wrong with single ones.
func (v *Verb) read(flags *pflag.FlagSet, wrong *usage.Faults) values {
	all := values{}
	for _, g := range v.groups {
		for _, o := range g.options {
			f := flags.Lookup(o.name)
			list, ok := f.Value.(pflag.SliceValue)
			switch {
			case !ok: // a switch
				all[o.name] = []string{f.Value.String()}
				continue
			case !f.Changed && o.def != "":
				all[o.name] = []string{o.def}
				continue
			}
			given := list.GetSlice()
			all[o.name] = given
			switch {
			case slices.Contains(given, ""):
				// A shell variable that is not set must not make it match more.
				wrong.Addf("--%s has an empty value", o.name)
			case len(given) > 1 && o.kind != often:
				wrong.Addf("--%s is given %d times", o.name, len(given))
			case len(given) > 0 && o.words != nil && !slices.Contains(o.words, given[0]):
				wrong.Addf("--%s must be %s", o.name, oneOf(o.words))
			}
		}
	}
	return all
}

// text returns the value of a flag, "" if there is none.
func (v values) text(name string) string {
	if len(v[name]) == 0 {
		return ""
	}
	return v[name][0]
}

// on says whether a switch is on.
func (v values) on(name string) bool { return v.text(name) == "true" }

// oneOf lists words in a sentence.
func oneOf(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
