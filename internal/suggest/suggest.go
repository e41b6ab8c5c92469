// Package suggest finds the name that was probably meant by a misspelt one.
package suggest

import "strings"

// Nearest returns the name that needs the fewest edits to become what was
// given, or else the first that begins with it; "" if there is neither. An edit
// inserts, deletes or replaces a letter, or swaps two that stand side by side.
// A third of the letters may be wrong, and one more; case does not count.
func Nearest(given string, names []string) string {
	given = strings.ToLower(given)
	nearest, fewest := "", len(given)/3+2
	for _, name := range names {
		if n := edits(given, strings.ToLower(name)); n < fewest {
			nearest, fewest = name, n
		}
	}
	if nearest != "" || given == "" {
		return nearest
	}
	for _, name := range names {
		if strings.HasPrefix(name, given) {
			return name
		}
	}
	return ""
}

// edits counts the edits from a to b, in bytes: the optimal string alignment.
func edits(a, b string) int {
	var before []int // the row of a without its last two letters
	last := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, replaced)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// DidYouMean is the end of an error about a name that is not known: the nearest
// of names, with what stands before it, or nothing.
func DidYouMean(before, name string, names []string) string {
	if near := Nearest(name, names); near != "" {
		return "; did you mean " + before + near + "?"
	}
	return ""
}
