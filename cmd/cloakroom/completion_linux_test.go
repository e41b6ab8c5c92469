package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cloakroom-dev/cloakroom/cmd/cloakroom/completion"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/spf13/pflag"
)

// completed is a line, and what the shell is to offer at its end.
type completed struct {
	line string
	want []string
	// helpToo says that --help may be offered as well.
	helpToo bool
}

// completions are lines for every subcommand, verb and flag that there is. dir has the files of TestCompletion.
func completions(dir string) (all []completed) {
	serve := map[string]bool{}
	var walk func(line string, c *completion.Command)
	walk = func(line string, c *completion.Command) {
		var names, flags []string
		for i := range c.Sub {
			names = append(names, c.Sub[i].Name)
			walk(line+" "+c.Sub[i].Name, &c.Sub[i])
		}
		if c.Flags == nil {
			c.Flags = usage.NewFlags()
		}
		c.Flags.VisitAll(func(f *pflag.Flag) { flags = append(flags, "--"+f.Name) })
		if len(names) > 0 {
			all = append(all, completed{line + " ", names, true}, completed{line + " " + names[0][:1], startingWith(names, names[0][:1]), false})
		}
		all = append(all, completed{line + " --", flags, false}, completed{line + " --a", startingWith(flags, "--a"), false})
		if c.Name == "get" && len(flags) > 0 { // flags may stand behind the ID as well; a switch has no values
			all = append(all, completed{line + " ID --", flags, false}, completed{line + " --fresh=", nil, false})
		}
		c.Flags.VisitAll(func(f *pflag.Flag) {
			// The settings of serve are flags of several subcommands: their values are looked at once.
			if f.NoOptDefVal != "" || serve[f.Name] {
				return
			}
			serve[f.Name] = c.Name == "serve"
			at := line + " --" + f.Name
			words := usage.Words(f)
			switch {
			case usage.IsFile(f):
				all = append(all, completed{at + " " + dir + "/a", []string{"a-file", "a-[f]ile"}, false}, completed{at + "=" + dir + "/a", []string{"a-file", "a-[f]ile"}, false})
			case words != nil:
				all = append(all, completed{at + " ", words, false}, completed{at + "=" + words[0][:1], startingWith(words, words[0][:1]), false})
			default:
				all = append(all, completed{at + " ", nil, false})
			}
		})
	}
	walk("cloakroom", &completion.Command{Sub: commandTree()})
	return all
}

func startingWith(names []string, prefix string) (all []string) {
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			all = append(all, name)
		}
	}
	return all
}

// inBash completes each line in a bash that has taken the script.
const inBash = `. ~/.local/share/bash-completion/completions/cloakroom
while IFS= read -r line; do
	printf '== %s\n' "$line"
	eval "COMP_WORDS=(${line//=/ = })"
	[[ $line == *' ' ]] && COMP_WORDS+=('')
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_cloakroom
	printf '%s\n' "${COMPREPLY[@]}"
done <"$1"
`

// inFish does that in fish.
const inFish = `while read -l line
	echo "== $line"
	complete -C "$line"
end <$argv[1]
`

// inZsh does it in zsh, as its .zshrc: completion needs a terminal there. What is offered goes to a file.
const inZsh = `fpath=(~/.zfunc $fpath)
autoload -U compinit
compinit -u -D
compadd() {
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
		builtin compadd "$@"
		return
	fi
	local -a hits
	builtin compadd -O hits "$@"
	(($#hits)) && print -rl -- $hits >>$OUT
	builtin compadd "$@"
}
zle-line-init() {
	local line
	for line in "${(@f)$(<$LINES_FILE)}"; do
		BUFFER=$line CURSOR=$#line
		print -r -- "== $line" >>$OUT
		zle complete-word
	done
	exit 0
}
zle -N zle-line-init
`

// inShell runs a shell that completes each line of the file at lines. The HOME in env has the scripts.
var inShell = map[string]func(t *testing.T, env []string, lines string) string{
	"bash": func(t *testing.T, env []string, lines string) string {
		return printed(t, env, exec.Command("bash", "--norc", "-c", inBash, "bash", lines))
	},
	"fish": func(t *testing.T, env []string, lines string) string {
		return printed(t, env, exec.Command("fish", "-c", inFish, lines))
	},
	"zsh": func(t *testing.T, env []string, lines string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, ".zshrc"), []byte(inZsh), 0o600); err != nil {
			t.Fatal(err)
		}
		user, tty := openTerminal(t)
		out := filepath.Join(dir, "out")
		cmd := exec.Command("zsh", "-d", "-i")
		cmd.Env = append(slices.Clone(env), "TERM=xterm", "ZDOTDIR="+dir, "LINES_FILE="+lines, "OUT="+out)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		tty.Close()
		shown := newOutput()
		read := make(chan struct{})
		go func() {
			defer close(read)
			_, _ = io.Copy(shown, user) // until the terminal is closed
		}()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, shown)
		}
		<-read
		return readDoc(t, out)
	},
}

// Each shell offers all subcommands, verbs, flags and values that there are, and nothing else, if the scripts are where
// the documentation has them.
func TestCompletion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a-file", "a-[f]ile"} { // the latter is a pattern, too, for the former
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := completions(dir)
	var text strings.Builder
	for _, c := range all {
		text.WriteString(c.line + "\n")
	}
	lines := filepath.Join(dir, "lines")
	if err := os.WriteFile(lines, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	install := exec.Command("sh", "-e", "-c", commandsBelow(t, operations, "## Completion"))
	install.Env = []string{"HOME=" + t.TempDir(), "PATH=" + commandDir(t) + ":" + os.Getenv("PATH")}
	if out, err := install.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	for shell, run := range inShell {
		t.Run(shell, func(t *testing.T) {
			if !hasShell(t, shell) {
				return
			}
			offers := strings.Split("\n"+run(t, install.Env, lines), "\n== ")[1:]
			if len(offers) != len(all) {
				t.Fatalf("%d of %d lines were completed", len(offers), len(all))
			}
			for i, c := range all {
				c.check(t, offers[i])
				if t.Failed() {
					return // most likely for one reason
				}
			}
		})
	}
}

// check holds against c what a shell has offered: the line, and the offers, one a line.
func (c *completed) check(t *testing.T, offered string) {
	t.Helper()
	line, rest, _ := strings.Cut(offered, "\n")
	if line != c.line {
		t.Fatalf("%q was completed, not %q", line, c.line)
	}
	var got []string
	for offer := range strings.Lines(rest) {
		offer, _, _ = strings.Cut(strings.TrimSpace(offer), "\t")                        // fish has the help behind it
		offer = strings.ReplaceAll(offer[strings.LastIndexAny(offer, "/=")+1:], `\`, "") // fish quotes
		if offer != "" && !(c.helpToo && offer == "--help") && !slices.Contains(got, offer) {
			got = append(got, offer)
		}
	}
	want := slices.Clone(c.want)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%q: it offers %q, want %q", c.line, got, want)
	}
}

// hasShell says whether there is such a shell: where there is none its test is left out, but not in CI.
func hasShell(t *testing.T, name string) bool {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return true
	}
	for _, required := range []string{"CLOAKROOM_TEST_SHELLS", "CI"} {
		if os.Getenv(required) != "" {
			t.Fatalf("there is no %s, and %s is set; .ci/install-shells installs it", name, required)
		}
	}
	t.Logf("LEFT OUT: there is no %s; .ci/install-shells installs it", name)
	return false
}

// printed returns what a shell prints; it must print no errors.
func printed(t *testing.T, env []string, cmd *exec.Cmd) string {
	t.Helper()
	var log strings.Builder
	cmd.Env, cmd.Stderr = env, &log
	out, err := cmd.Output()
	if err != nil || log.Len() > 0 {
		t.Fatalf("%v: %s", err, &log)
	}
	return string(out)
}
