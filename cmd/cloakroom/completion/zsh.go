package completion

import (
	"fmt"
	"strings"
)

const zshHead = `#compdef cloakroom
# zsh completion of cloakroom; cloakroom completion zsh prints it.

`

// zshTail lets the script be a file in fpath, which is the function itself, or be sourced.
const zshTail = `
if [[ $funcstack[1] == _cloakroom ]]; then
    _cloakroom "$@"
else
    compdef _cloakroom cloakroom
fi
`

// zsh writes the script for zsh: a function for each command.
func zsh(root *Command) string {
	var b strings.Builder
	b.WriteString(zshHead)
	root.walk(func(path []string, c *Command) {
		fmt.Fprintf(&b, "%s() {\n", zshFunction(path))
		if len(c.Sub) > 0 {
			b.WriteString("    if (( CURRENT == 2 )); then\n        local -a names=(\n")
			for i := range c.Sub {
				fmt.Fprintf(&b, "            %s\n", quote(c.Sub[i].Name+":"+strings.ReplaceAll(c.Sub[i].Help, ":", `\:`)))
			}
			b.WriteString("        )\n        _describe -t commands command names\n")
			b.WriteString("    else\n        case $words[2] in\n        (" + zshNames(c) + ") shift words; (( CURRENT-- )); " + zshFunction(path) + "_$words[1]; return ;;\n        esac\n    fi\n")
		}
		b.WriteString(zshArguments(c))
		b.WriteString("}\n\n")
	})
	return strings.TrimSuffix(b.String(), "\n") + zshTail
}

// zshFunction is the function of the command that path leads to.
func zshFunction(path []string) string {
	return "_" + strings.Join(append([]string{program}, path...), "_")
}

func zshNames(c *Command) string {
	var names []string
	for i := range c.Sub {
		names = append(names, c.Sub[i].Name)
	}
	return strings.Join(names, "|")
}

// zshArguments completes the flags of a command.
func zshArguments(c *Command) string {
	var specs []string
	c.flags(func(f *flag) {
		help := strings.NewReplacer(`\`, `\\`, "[", `\[`, "]", `\]`, ":", `\:`).Replace(f.help)
		spec := f.name
		if !f.onOff {
			spec += "="
		}
		spec += "[" + help + "]"
		if f.list {
			spec = "*" + spec
		}
		switch {
		case f.onOff:
		case f.file:
			spec += ":file:_files"
		case f.words != nil:
			spec += ":value:(" + strings.Join(f.words, " ") + ")"
		default:
			spec += ":value: "
		}
		specs = append(specs, "        "+quote(spec))
	})
	if len(specs) == 0 {
		return ""
	}
	if len(c.Sub) == 0 {
		specs = append(specs, "        '*: : '") // behind an argument there may be more flags
	}
	return "    _arguments \\\n" + strings.Join(specs, " \\\n") + "\n"
}
