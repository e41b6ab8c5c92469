package session

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestFactorSet(t *testing.T) {
	f := Factors{
		User: &UserFactor{}, Password: &Factor{}, WebAuthN: &WebAuthNFactor{}, Intent: &Factor{},
		TOTP: &Factor{}, OTPSMS: &Factor{}, OTPEmail: &Factor{}, RecoveryCode: &Factor{},
	}
	want := []string{"password", "webAuthN", "intent", "totp", "otpSms", "otpEmail", "recoveryCode"}
	if got := slices.Collect(f.Set().Names()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := (&Factors{User: &UserFactor{}}).Set(); got != 0 {
		t.Errorf("got %v for the user alone", got)
	}
	for _, name := range want {
		one, ok := FactorNamed(name)
		if got := slices.Collect(one.Names()); !ok || !slices.Equal(got, []string{name}) {
			t.Errorf("%s: got %v, %v", name, got, ok)
		}
	}
	for _, name := range []string{"", "user", "Password", "webauthn"} {
		if _, ok := FactorNamed(name); ok {
			t.Errorf("%q is a factor", name)
		}
	}
}

// What is read off a document is what decoding all of it says, without the
// factors that are verified more than a minute from now: those prove nothing
// until then, and what a document proves lasts if there are none.
func TestI1_ProofOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := Time(rapid.Int64Range(0, int64(MaxScore)-1).Draw(t, "now"))
		date := rapid.OneOf(
			rapid.Map(rapid.Int64Range(0, int64(MaxScore)-1), func(at int64) Time { return Time(at) }),
			rapid.Map(rapid.Int64Range(-1, 1), func(by int64) Time { return min(now.Add(MaxAhead)+Time(by), MaxScore-1) }),
		)
		factor := func(name string) *Factor {
			if !rapid.Bool().Draw(t, name) {
				return nil
			}
			return &Factor{VerifiedAt: date.Draw(t, name+" verified")}
		}
		s := sample()
		s.Factors = Factors{
			Password: factor("password"), Intent: factor("intent"), TOTP: factor("totp"),
			OTPSMS: factor("otpSms"), OTPEmail: factor("otpEmail"), RecoveryCode: factor("recoveryCode"),
		}
		if f := factor("webAuthN"); f != nil {
			s.Factors.WebAuthN = &WebAuthNFactor{VerifiedAt: f.VerifiedAt, UserVerified: rapid.Bool().Draw(t, "user verified")}
		}
		var want Proof
		lasting := true
		if rapid.Bool().Draw(t, "user") {
			s.Factors.User = &UserFactor{ID: "u", LoginName: rapid.String().Draw(t, "login name"), VerifiedAt: MaxScore - 1}
			s.Factors.User.LoginName = validText(s.Factors.User.LoginName)
			want.LoginName = s.Factors.User.LoginName
			webAuthN := (*Factor)(nil)
			if f := s.Factors.WebAuthN; f != nil {
				webAuthN = &Factor{f.VerifiedAt}
			}
			for i, f := range []*Factor{s.Factors.Password, webAuthN, s.Factors.Intent, s.Factors.TOTP, s.Factors.OTPSMS, s.Factors.OTPEmail, s.Factors.RecoveryCode} {
				switch {
				case f == nil:
				case f.VerifiedAt-now > 60_000_000:
					lasting = false
				default:
					want.Factors |= 1 << i
					want.AuthTime = max(want.AuthTime, f.VerifiedAt)
				}
			}
		}
		doc := AppendJSON(nil, s)
		if got, lasts, err := ProofOf(doc, now); err != nil || got != want || lasts != lasting {
			t.Fatalf("got %+v, %v, %v; want %+v, %v\n%s", got, lasts, err, want, lasting, doc)
		}
	})
}

func TestProofOf_NotCanonical(t *testing.T) {
	doc := string(AppendJSON(nil, sample()))
	for _, text := range []string{"", "{}", doc[1:], `{"id":"a","factors":{}}`, doc[:60]} {
		if got, _, err := ProofOf([]byte(text), 0); err == nil {
			t.Errorf("%s: got %+v", text, got)
		}
	}
}

func validText(s string) string { return string([]rune(s)) }

func BenchmarkProofOf(b *testing.B) {
	doc := AppendJSON(nil, sample())
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ProofOf(doc, Never); err != nil {
			b.Fatal(err)
		}
	}
}
