package protojson

import "testing"

// A null element of an array of messages reads as an empty one, and the
// elements behind it are read as ever.
func TestMessages(t *testing.T) {
	var got []string
	err := Decode([]byte(`{"items":[{"a":"x"}, null ,{"a":"y"},null]}`), func(r *Reader) error {
		return r.Object(func(string) error {
			return r.Messages(func(i int) error {
				got = append(got, "")
				return r.Object(func(string) error { return r.String(&got[i]) })
			})
		})
	})
	if err != nil || len(got) != 4 || got[0] != "x" || got[1] != "" || got[2] != "y" || got[3] != "" {
		t.Errorf("got %q, %v", got, err)
	}
}
