package testdepth_test

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

func TestOneIn(t *testing.T) {
	const n, cases = 4, 40
	done := 0
	is := testdepth.OneIn(t, n)
	for i := range cases {
		if is(i) {
			done++
		}
	}
	if want := testdepth.Of(cases, cases/n); done != want {
		t.Errorf("%d of %d cases were done, want %d", done, cases, want)
	}
}
