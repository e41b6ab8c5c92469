package storetest

import (
	"testing"

	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

// Run runs the contract suite, each test on a store of its own.
func Run(t *testing.T, open Open) { RunOneIn(t, 1, open) }

// RunOneIn runs the contract suite, of which it does one test in n with -short, and others each time.
func RunOneIn(t *testing.T, n int, open Open) {
	isDone, number := testdepth.OneIn(t, n), 0
	for _, group := range []struct {
		name  string
		tests []contractTest
	}{
		{"Put", putTests},
		{"UserLimit", userLimitTests},
		{"Delete", deleteTests},
		{"Revoke", revokeTests},
		{"Token", tokenTests},
		{"Search", searchTests},
		{"Dates", dateTests},
		{"Sees", seesTests},
		{"Page", pageTests},
		{"Cursor", cursorTests},
		{"Costly", costlyTests},
		{"Text", textTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				if number++; !isDone(number) {
					continue
				}
				t.Run(test.name, func(t *testing.T) {
					store, advance := open(t, test.limits)
					test.run(&fixture{T: t, store: store, advance: advance, start: store.Now()})
				})
			}
		})
	}
}

type contractTest struct {
	name   string
	limits Limits
	run    func(f *fixture)
}
