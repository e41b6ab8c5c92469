package completion

import (
	"fmt"
	"strings"
)

// fishHead has what asks for the words before the cursor: they are just these, or begin with these.
const fishHead = `# fish completion of cloakroom; cloakroom completion fish prints it.

function __cloakroom_is
    set -l words (commandline -opc)
    set -e words[1]
    test "$words" = "$argv"
end

function __cloakroom_in
    set -l words (commandline -opc)
    set -e words[1]
    set -l n (count $argv)
    test (count $words) -ge $n; and test "$words[1..$n]" = "$argv"
end

complete -c cloakroom -f
`

// fish writes the script for fish.
func fish(root *Command) string {
	var b strings.Builder
	b.WriteString(fishHead)
	root.walk(func(path []string, c *Command) {
		at := strings.Join(path, " ")
		for i := range c.Sub {
			fmt.Fprintf(&b, "complete -c cloakroom -n %s -a %s -d %s\n", quote(strings.TrimSpace("__cloakroom_is "+at)), c.Sub[i].Name, fishQuote(c.Sub[i].Help))
		}
		c.flags(func(f *flag) {
			// Of a subcommand with verbs only the flags that stand alone are flags.
			where := "__cloakroom_in " + at
			if len(c.Sub) > 0 {
				where = "__cloakroom_is " + at
			}
			value := ""
			switch {
			case f.onOff:
			case f.file:
				value = " -r -F"
			case f.words != nil:
				value = " -x -a " + fishQuote(strings.Join(f.words, " "))
			default:
				value = " -x"
			}
			fmt.Fprintf(&b, "complete -c cloakroom -n %s -l %s%s -d %s\n", quote(where), strings.TrimPrefix(f.name, "--"), value, fishQuote(f.help))
		})
	})
	return b.String()
}

// fishQuote quotes text for fish, whose quotes know a backslash.
func fishQuote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}
