package sessions

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/apiclient"
	"github.com/rivo/uniseg"
	"pgregory.net/rapid"
)

// pageOf is a page of sessions in JSON.
func pageOf(sessions ...string) *apiclient.Page {
	p := &apiclient.Page{At: time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)}
	for _, s := range sessions {
		p.Sessions = append(p.Sessions, json.RawMessage(s))
	}
	return p
}

// drawn returns what a table prints of pages.
func drawn(t testing.TB, tab *table, pages ...*apiclient.Page) string {
	t.Helper()
	var b strings.Builder
	tab.w = bufio.NewWriter(&b)
	for _, p := range pages {
		if err := tab.page(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := tab.w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

const (
	alice = `{"id":"1883196105509831356","creationDate":"2026-01-02T11:50:00Z","expirationDate":"2026-01-05T12:00:00Z","factors":{"user":{"id":"218480890962182404","loginName":"alice@example.com"},"password":{"verifiedAt":"2026-01-02T11:50:00Z"},"totp":{"verifiedAt":"2026-01-02T11:50:00Z"},"otpSms":{}},"userAgent":{"description":"Firefox on Linux","ip":"192.0.2.7"}}`
	taro  = `{"id":"1883196105509831357","creationDate":"2026-01-01T11:50:00Z","factors":{"user":{"id":"218480890962182405","loginName":"田中太郎@例え.テスト","organizationId":"org-1"}}}`
	ended = `{"id":"7","creationDate":"2026-01-02T12:10:00Z","expirationDate":"2026-01-02T12:00:00Z"}`
)

func TestTableFitsItsWidth(t *testing.T) {
	f := func(columns int, want string) {
		t.Helper()
		if got := drawn(t, &table{columns: columns}, pageOf(alice, taro, ended)); got != want[1:] {
			t.Errorf("%d columns: got\n%s", columns, got)
		}
	}
	f(200, `
ID                   USER                LOGIN NAME            FACTORS        AGE     LEFT   USER AGENT
1883196105509831356  218480890962182404  alice@example.com     password,totp  10m     3d     Firefox on Linux
1883196105509831357  218480890962182405  田中太郎@例え.テスト  -              24h     never  -
7                    -                   -                     -              in 10m  ended  -
`)
	f(80, `
ID                   USER                LOGIN NAME    FACTORS     AGE     LEFT
1883196105509831356  218480890962182404  alice@exa...  passwor...  10m     3d
1883196105509831357  218480890962182405  田中太郎@...  -           24h     never
7                    -                   -             -           in 10m  ended
`)
	f(40, `
ID                   AGE     LEFT
1883196105509831356  10m     3d
1883196105509831357  24h     never
7                    in 10m  ended
`)
	f(20, `
ID  AGE     LEFT
1883196105509831356
    10m     3d
1883196105509831357
    24h     never
7   in 10m  ended
`)
}

// A wide table has more columns, and cuts nothing.
func TestWideTable(t *testing.T) {
	got := drawn(t, &table{wide: true}, pageOf(taro, alice))
	want := `
ID                   USER                LOGIN NAME            FACTORS        AGE  LEFT   USER AGENT        IP ADDRESS  AGENT ID  ORGANIZATION
1883196105509831357  218480890962182405  田中太郎@例え.テスト  -              24h  never  -                 -           -         org-1
1883196105509831356  218480890962182404  alice@example.com     password,totp  10m  3d     Firefox on Linux  192.0.2.7   -         -
`
	if got != want[1:] {
		t.Errorf("got\n%s", got)
	}
}

// A later page has the columns of the first, and an ID that is too long a line of its own.
func TestTablePageByPage(t *testing.T) {
	long := strings.Repeat("x", 90)
	got := drawn(t, &table{columns: 80, styled: true}, pageOf(ended), pageOf(alice, `{"id":"`+long+`","creationDate":"2026-01-02T11:59:55Z"}`))
	want := "\x1b[1mID  USER  LOGIN NAME  FACTORS  AGE     LEFT   USER AGENT\x1b[0m" + `
7   -     -           -        in 10m  ended  -
1883196105509831356
    218…  alice@exa…  passwo…  10m     3d     Firefox o…
` + long + `
    -     -           -        5s      never  -
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// No line is wider than the terminal, except for long IDs, and no text moves the cursor.
func TestTableNeverOverflows(t *testing.T) {
	text := rapid.StringOf(rapid.OneOf(rapid.Rune(), rapid.SampledFrom([]rune{'\x1b', '\u009b', '\u202e', '田', '\u200d', '👩', '\u0301', '\n', '\t'})))
	rapid.Check(t, func(t *rapid.T) {
		columns := rapid.IntRange(1, 220).Draw(t, "columns")
		var all []string
		for i := range rapid.IntRange(1, 5).Draw(t, "sessions") {
			user, err := json.Marshal(map[string]string{"id": text.Draw(t, "user"), "loginName": text.Draw(t, "login")})
			if err != nil {
				t.Fatal(err)
			}
			agent, err := json.Marshal(text.Draw(t, "agent"))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, fmt.Sprintf(`{"id":"id-%d","creationDate":"2026-01-01T00:00:00Z","factors":{"user":%s,"webAuthN":{"verifiedAt":"2026-01-01T00:00:00Z"}},"userAgent":{"description":%s}}`, i, user, agent))
		}
		var b strings.Builder
		tab := &table{columns: columns, w: bufio.NewWriter(&b)}
		if err := tab.page(pageOf(all...)); err != nil {
			t.Fatal(err)
		}
		if err := tab.w.Flush(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(b.String(), "\n"); got < len(all)+1 || columns > 8 && got != len(all)+1 {
			t.Fatalf("%d sessions have %d lines:\n%q", len(all), got, b.String())
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if w := uniseg.StringWidth(line); w > columns && w > len("id-0") {
				t.Fatalf("%d columns, of %d: %q", w, columns, line)
			}
			if strings.ContainsAny(line, "\x1b\u009b\u202e\t\r") {
				t.Fatalf("%q", line)
			}
		}
	})
}
