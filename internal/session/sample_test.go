package session

import (
	"flag"
	"os"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the files in testdata")

// sample is a session as a browser login leaves it; its document is
// testdata/sample.json, which the tests and benchmarks of other packages use.
func sample() *Session {
	at := func(s string) Time {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			panic(err)
		}
		return TimeOf(t)
	}
	ptr := func(s string) *string { return &s }
	return &Session{
		ID:           "313920475938062345",
		CreationDate: at("2026-03-04T08:15:42.318265Z"),
		ChangeDate:   at("2026-03-04T08:16:03.904117Z"),
		Sequence:     4,
		Factors: Factors{
			User: &UserFactor{
				VerifiedAt:     at("2026-03-04T08:15:42.318265Z"),
				ID:             "281740196538417163",
				LoginName:      "marta.lindqvist@nordwind.example",
				DisplayName:    "Marta Lindqvist",
				OrganizationID: "281739955209961483",
			},
			Password: &Factor{VerifiedAt: at("2026-03-04T08:15:51.027466Z")},
			TOTP:     &Factor{VerifiedAt: at("2026-03-04T08:16:03.904117Z")},
		},
		Metadata: map[string][]byte{
			"client": []byte("web-portal"),
			"tenant": []byte("nordwind"),
		},
		UserAgent: UserAgent{
			FingerprintID: ptr("7c1f0a94e2b84d6b9a35c8d1f06e27b4"),
			IP:            ptr("203.0.113.87"),
			Description:   ptr("Chrome 132, Windows"),
			Header: map[string][]string{
				"accept-language": {"sv-SE,sv;q=0.9,en;q=0.8"},
				"user-agent":      {"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/132.0"},
			},
		},
		ExpirationDate: at("2026-03-05T08:15:42.318265Z"),
	}
}

func TestSampleDocument(t *testing.T) {
	got := AppendJSON(nil, sample())
	if *update {
		if err := os.WriteFile("testdata/sample.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/sample.json")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("document:\n%s\nwant, as in testdata/sample.json:\n%s", got, want)
	}
	if len(got) != 829 {
		t.Errorf("the sample has %d bytes, want 829", len(got))
	}
}
