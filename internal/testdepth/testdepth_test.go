package testdepth

import "testing"

func TestOneIn(t *testing.T) {
	const n, cases = 4, 64
	done := 0
	is := OneIn(t, n)
	for i := range cases {
		if is(i) {
			done++
		}
	}
	if want := Of(cases, cases/(n*rarer)); done != want {
		t.Errorf("%d of %d cases were done, want %d", done, cases, want)
	}
}
