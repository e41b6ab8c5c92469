package testdepth

import (
	"flag"
	"fmt"
)

// Parallel lets n of the tests that call t.Parallel run at a time, where -parallel does not say otherwise: for packages whose
// tests mostly wait, more than there are processors. It is for TestMain, and parses the flags.
func Parallel(n int) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return
	}
	if err := flag.Set("test.parallel", fmt.Sprint(n)); err != nil {
		panic(err) // the flag is there in each test program
	}
}
