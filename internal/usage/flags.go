package usage

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/suggest"
	"github.com/spf13/pflag"
)

// NewFlags makes a set of flags for ParseFlags, without any.
func NewFlags() *pflag.FlagSet {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	flags.SortFlags = false
	return flags
}

// ParseFlags parses args and collects all that is wrong with them; pflag alone
// stops at the first. Values are not quoted: a misplaced one may be a
// password. (I6) unknown says that there was an unknown flag: it may be a misspelt one,
// whose value is missing then. The error is pflag.ErrHelp if help was asked for.
func ParseFlags(flags *pflag.FlagSet, args []string, wrong *Faults) (unknown bool, err error) {
	_, unknown, err = ParseWords(flags, args, 0, wrong)
	return unknown, err
}

// ParseWords is ParseFlags for args that may also have so many words, before or behind flags,
// which it returns. Behind -- all are words, also those that begin with a dash.
func ParseWords(flags *pflag.FlagSet, args []string, most int, wrong *Faults) (words []string, unknown bool, err error) {
	known, stray, ended := make([]string, 0, len(args)), false, false
	for i := 0; i < len(args); i++ {
		name, _, hasValue := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		next := i+1 < len(args) && !hasValue
		isWord := ended || !strings.HasPrefix(args[i], "-") || args[i] == "-"
		switch f := flags.Lookup(name); {
		case isWord && len(words) < most:
			words = append(words, args[i])
		case isWord:
			if !stray {
				wrong.Addf("argument %d is no flag, and nothing else is taken", i+1)
			}
			stray = true
		case args[i] == "-h" || args[i] == "--help":
			return nil, unknown, pflag.ErrHelp
		case most > 0 && args[i] == "--":
			ended = true
		case f == nil || !strings.HasPrefix(args[i], "--") || strings.HasPrefix(args[i], "---"):
			unknown = true
			wrong.Addf("unknown flag %s%s", Quote(args[i][:len(args[i])-len(strings.TrimLeft(args[i], "-"))]+name), suggest.DidYouMean("--", name, names(flags)))
			if next && !strings.HasPrefix(args[i+1], "-") {
				i++ // most likely its value
			}
		case next && f.NoOptDefVal == "":
			known = append(known, args[i], args[i+1])
			i++
		default:
			known = append(known, args[i])
		}
	}
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch err := flags.Parse(known); {
	case err == nil:
	case errors.As(err, &missing):
		wrong.Addf("flag: --%s needs a value", missing.GetSpecifiedName())
	case errors.As(err, &invalid):
		wrong.Addf("flag: --%s has a bad value", invalid.GetFlag().Name)
	default:
		return nil, unknown, fmt.Errorf("BUG: parsing the flags: %w", err)
	}
	return words, unknown, nil
}

// What a flag's value is, for completion: annotations of pflag.
const (
	fileAnnotation  = "cloakroom_file"
	wordsAnnotation = "cloakroom_words"
)

// TakesFile notes that the value of a flag is the path of a file.
func TakesFile(f *pflag.Flag) { annotate(f, fileAnnotation, nil) }

// TakesWord notes that the value of a flag is one of these words.
func TakesWord(f *pflag.Flag, words ...string) { annotate(f, wordsAnnotation, words) }

func annotate(f *pflag.Flag, key string, values []string) {
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[key] = values
}

// IsFile says whether the value of a flag is the path of a file.
func IsFile(f *pflag.Flag) bool {
	_, ok := f.Annotations[fileAnnotation]
	return ok
}

// Words returns the words of which the value of a flag is one, nil if it is free.
func Words(f *pflag.Flag) []string { return f.Annotations[wordsAnnotation] }

// names are the names of all flags.
func names(flags *pflag.FlagSet) (all []string) {
	flags.VisitAll(func(f *pflag.Flag) { all = append(all, f.Name) })
	return all
}

// Quote shortens what is shown of a bad value.
func Quote(v string) string {
	if len(v) > 60 {
		return fmt.Sprintf("%q…", v[:60])
	}
	return fmt.Sprintf("%q", v)
}
