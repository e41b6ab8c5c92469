package completion

import (
	"fmt"
	"strings"
)

// bashHead finds which subcommand the line has so far, and which flag's value is under the
// cursor. bash splits --flag=value into three words, unless = is not in COMP_WORDBREAKS. It
// works in bash 3.2, without the package bash-completion.
const bashHead = `# bash completion of cloakroom; cloakroom completion bash prints it.

_cloakroom() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} before= flag= assigned= path= words= word i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "$path/${COMP_WORDS[i]}" in
        %s) path=$path/${COMP_WORDS[i]} ;;
        *) break ;;
        esac
    done
    case $cur in
    --*=*) assigned=1 flag=${cur%%%%=*} before=${cur%%%%=*}= cur=${cur#*=} ;;
    =) assigned=1 flag=$prev cur= ;;
    *) if [[ $prev == = ]]; then assigned=1 flag=${COMP_WORDS[COMP_CWORD-2]}; else flag=$prev; fi ;;
    esac
    COMPREPLY=()
    case "$path $flag" in
`

const bashTail = `    esac
    [[ $words == FILE ]] && compopt -o filenames 2>/dev/null # bash 3.2 has no compopt
    while IFS= read -r word; do # not split, and no pattern for other files
        COMPREPLY+=("$word")
    done < <(
        case $words in
        FILE) compgen -P "$before" -f -- "$cur" ;;
        ANY) ;;
        *) compgen -P "$before" -W "$words" -- "$cur" ;;
        esac
    )
}

complete -F _cloakroom cloakroom
`

// bash writes the script for bash.
func bash(root *Command) string {
	var paths []string
	var values, words strings.Builder
	root.walk(func(path []string, c *Command) {
		at := ""
		for _, name := range path {
			at += "/" + name
		}
		if at != "" {
			paths = append(paths, at)
		}
		var all, files, any []string
		for i := range c.Sub {
			all = append(all, c.Sub[i].Name)
		}
		c.flags(func(f *flag) {
			all = append(all, f.name)
			where := quote(at + " " + f.name)
			switch {
			case f.onOff:
			case f.file:
				files = append(files, where)
			case f.words != nil:
				fmt.Fprintf(&values, "    %s) words=%s ;;\n", where, quote(strings.Join(f.words, " ")))
			default:
				any = append(any, where)
			}
		})
		for _, v := range []struct {
			word string
			of   []string
		}{{"FILE", files}, {"ANY", any}} {
			if len(v.of) > 0 {
				fmt.Fprintf(&values, "    %s) words=%s ;;\n", strings.Join(v.of, "|"), v.word)
			}
		}
		fmt.Fprintf(&words, "        %s) words=%s ;;\n", quote(at), quote(strings.Join(all, " ")))
	})
	return fmt.Sprintf(bashHead, strings.Join(paths, "|")) + values.String() +
		"    *)\n        case $assigned$path in\n        1*) words=ANY ;; # a switch has no value to complete\n" + words.String() + "        esac ;;\n" + bashTail
}
