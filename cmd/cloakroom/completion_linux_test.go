package main

import (
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
	// flagsToo says that --help may be offered as well.
	flagsToo bool
}

// completions are lines for every subcommand, verb and flag that there is. dir has a file of the name "a file".
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
				all = append(all, completed{at + " " + dir + "/a", []string{"a-file"}, false}, completed{at + "=" + dir + "/a", []string{"a-file"}, false})
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
const inBash = `. "$1"
while IFS= read -r line; do
	printf '== %s\n' "$line"
	eval "COMP_WORDS=(${line//=/ = })"
	[[ $line == *' ' ]] && COMP_WORDS+=('')
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
	_cloakroom
	printf '%s\n' "${COMPREPLY[@]}"
done <"$2"
`

// inFish does that in fish.
const inFish = `source $argv[1]
while read -l line
	echo "== $line"
	complete -C "$line"
end <$argv[2]
`

// inZsh does it in zsh, as its .zshrc: completion needs a terminal there. What is offered goes to a file.
const inZsh = `autoload -U compinit
compinit -u -D
source $SCRIPT
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

// Each shell offers all subcommands, verbs, flags and values that there are, and nothing else.
func TestCompletion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	all := completions(dir)
	var lines strings.Builder
	for _, c := range all {
		lines.WriteString(c.line + "\n")
	}
	linesFile, out := filepath.Join(dir, "lines"), filepath.Join(dir, "out")
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("lines", lines.String())
	for shell, run := range map[string]func(t *testing.T, script string) string{
		"bash": func(t *testing.T, script string) string {
			return printed(t, exec.Command("bash", "--norc", "-c", inBash, "bash", script, linesFile))
		},
		"fish": func(t *testing.T, script string) string {
			return printed(t, exec.Command("fish", "--no-config", "-c", inFish, script, linesFile))
		},
		"zsh": func(t *testing.T, script string) string {
			write(".zshrc", inZsh)
			user, tty := openTerminal(t)
			cmd := exec.Command("zsh", "-d", "-i")
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "TERM=xterm", "ZDOTDIR=" + dir, "SCRIPT=" + script, "LINES_FILE=" + linesFile, "OUT=" + out}
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
				var b [4096]byte
				for {
					n, err := user.Read(b[:])
					if _, _ = shown.Write(b[:n]); err != nil {
						return
					}
				}
			}()
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v: %s", err, shown)
			}
			<-read
			return readDoc(t, out)
		},
	} {
		t.Run(shell, func(t *testing.T) {
			needsShell(t, shell)
			code, script, log := once(t, "completion", shell)
			if code != exitOK || log != "" {
				t.Fatalf("exit code %d, %q", code, log)
			}
			offers := strings.Split("\n"+run(t, write("script."+shell, script)), "\n== ")[1:]
			if len(offers) != len(all) {
				t.Fatalf("%d of %d lines were completed", len(offers), len(all))
			}
			for i, c := range all {
				line, rest, _ := strings.Cut(offers[i], "\n")
				if line != c.line {
					t.Fatalf("%q was completed, not %q", line, c.line)
				}
				var got []string
				for offer := range strings.Lines(rest) {
					offer, _, _ = strings.Cut(strings.TrimSpace(offer), "\t") // fish has the help behind it
					offer = offer[strings.LastIndexAny(offer, "/=")+1:]
					if offer != "" && !(c.flagsToo && offer == "--help") && !slices.Contains(got, offer) {
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
		})
	}
}

// needsShell leaves a test out where there is no such shell, but not in CI.
func needsShell(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	for _, required := range []string{"CLOAKROOM_TEST_SHELLS", "CI"} {
		if os.Getenv(required) != "" {
			t.Fatalf("there is no %s, and %s is set; .ci/install-shells installs it", name, required)
		}
	}
	t.Skipf("LEFT OUT: there is no %s; .ci/install-shells installs it", name)
}

// printed returns what a command prints; it must print no errors.
func printed(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	if err != nil || log.Len() > 0 {
		t.Fatalf("%v: %s", err, &log)
	}
	return string(out)
}
