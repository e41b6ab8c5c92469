package storetest

import (
	"fmt"

	"github.com/cloakroom-dev/cloakroom/index"
)

var textTests = []contractTest{
	{name: "user IDs, agents and creators of every kind", run: func(f *fixture) {
		texts := oddTexts()
		for i, text := range texts {
			f.put(New(number(i), f.start, User(text, text), Agent(text), Creator(text)))
		}
		for i, text := range texts {
			for _, p := range []index.Predicate{index.ByUser(text), index.ByAgent(text), index.ByCreator(text)} {
				f.found([]index.Predicate{p}, number(i))
				f.found([]index.Predicate{p, index.ByCreation(always)}, number(i))
			}
			f.foundBy(index.Sees{Orgs: []string{text}}, nil, number(i))
			f.foundBy(index.Sees{UserID: text}, nil, number(i))
			f.foundBy(index.Sees{AgentID: text}, nil, number(i))
		}
		f.found(nil, numbers(0, len(texts))...)
		for i := range texts {
			f.delete(number(i))
		}
		f.found(nil)
	}},
	{name: "from one to the next", run: func(f *fixture) {
		texts := oddTexts()
		s := f.put(New("1", f.start, User("u", "")))
		for i, text := range texts {
			s = f.replace(New("1", f.start, User(text, ""), Agent(text), Creator(text), Sequence(uint64(i+2))), s)
			f.found([]index.Predicate{index.ByUser(text)}, "1")
			if i > 0 {
				f.found([]index.Predicate{index.ByUser(texts[i-1])})
				f.found([]index.Predicate{index.ByAgent(texts[i-1])})
				f.found([]index.Predicate{index.ByCreator(texts[i-1])})
			}
		}
	}},
	{name: "the empty organization lets nobody in", run: func(f *fixture) {
		f.put(New("1", f.start, User("u", "")))
		f.put(New("2", f.start))
		f.foundBy(index.Sees{Orgs: []string{""}}, nil)
		f.foundBy(index.Sees{Orgs: []string{"", "o"}}, []index.Predicate{index.ByUser("u")})
	}},
}

// oddTexts returns distinct texts that are hard on keys, patterns, scripts and
// packed formats, each of at most 200 characters.
func oddTexts() []string {
	texts := []string{
		" ", "  ", "a b", ":", "a:b", "a:", ":a", "{", "}", "}{", "{}", "{a}", "a}b{c", "*", "?", "[a]", "\\", "\"", "'", "%s", "%2F",
		"\n", "\r\n", "\t", "\x00", "a\x00b", "0", "-1", "1e3", "inf", "nan", "nil", "null", "(5", "[5", "+", "-",
		"0123456789", "1234567890", "123456789", "-1234567890", "+1234567890", "9223372036854775807", "9223372036854775808",
		"18446744073709551616", "0123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF", "0123456789abcdef0123456789abcde",
		"00000000", "abcdef01", "abcdef0", "ü", "日本語", "🔑", "e\u0301", "\u00e9", "\u202e", "\ufeff", "A", "a", "gatewäy",
	}
	for _, r := range []rune{'x', 'ß', '語', '🔑'} {
		long := make([]rune, 200)
		for i := range long {
			long[i] = r
		}
		texts = append(texts, string(long), string(long[:199]), string(long[:128]), string(long[:127]))
	}
	seen := make(map[string]bool)
	for _, text := range texts {
		if seen[text] {
			panic(fmt.Sprintf("BUG: %q twice", text))
		}
		seen[text] = true
	}
	return texts
}
