package measure

import (
	"flag"
	"io"
	"testing"

	"github.com/cloakroom-dev/cloakroom/bench/cli"
	"github.com/cloakroom-dev/cloakroom/bench/source"
)

func TestPairs_SidesHaveTheirOwnFlags(t *testing.T) {
	flags := flag.NewFlagSet("pairs", flag.ContinueOnError)
	var shared source.Flags
	shared.Register(flags)
	flags.String("a", "", "")
	flags.String("b", "", "")
	addSideFlags(flags)
	if err := cli.Parse(flags, []string{"--connections=8", "--a=http://x:1", "--b-connections=9", "--b-scenario=create", "--target=http://y:2", "--a-name=of a fast one"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	a, errA := newSide(flags, "a")
	b, errB := newSide(flags, "b")
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if f := a.flags; f.Connections != 8 || f.Target != "http://x:1" || f.Scenario != "get-hot" {
		t.Errorf("a: %+v", f)
	}
	if f := b.flags; f.Connections != 9 || f.Target != "http://y:2" || f.Scenario != "create" {
		t.Errorf("b: %+v", f)
	}
	if a.label() != "get-hot of a fast one" || b.label() != "create" {
		t.Errorf("%q and %q", a.label(), b.label())
	}
	if err := cli.Parse(flags, []string{"--a-connections=x"}, io.Discard); err != nil {
		t.Fatal(err)
	}
	if _, err := newSide(flags, "a"); err == nil {
		t.Error("a side's bad number is taken")
	}
}
