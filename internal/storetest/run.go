package storetest

import (
	"testing"
)

// Run runs the contract suite, each test on a store of its own.
func Run(t *testing.T, open Open) {
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
