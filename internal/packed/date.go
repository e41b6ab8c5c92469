package packed

import "github.com/cloakroom-dev/cloakroom/internal/protojson"

const day = 86_400_000_000 // microseconds

// dateLen is the length of a timestamp's date, "2026-03-04T".
const dateLen = 11

// dateWriter writes timestamps as protojson.AppendTime does. Those of one
// document are mostly of one day, so it remembers how that is written.
type dateWriter struct {
	day  int64 // since 1970
	text [dateLen]byte
}

// append appends a time from 0001 to 9999, in microseconds since 1970, in quotes.
func (w *dateWriter) append(dst []byte, t int64) []byte {
	d := t / day
	if t < d*day {
		d--
	}
	if w.text[0] == 0 || d != w.day {
		var buffer [32]byte
		w.day = d
		copy(w.text[:], protojson.AppendTime(buffer[:0], d*day)[1:])
	}
	t -= d * day
	micros := uint32(t % 1_000_000)
	second := uint32(t / 1_000_000)
	minute := second / 60
	dst = append(append(dst, '"'), w.text[:]...)
	dst = append(appendTwo(dst, minute/60), ':')
	dst = append(appendTwo(dst, minute%60), ':')
	dst = appendTwo(dst, second%60)
	if micros != 0 {
		milli := micros / 1000
		dst = append(dst, '.', byte('0'+milli/100))
		dst = appendTwo(dst, milli%100)
		if micros %= 1000; micros != 0 {
			dst = append(dst, byte('0'+micros/100))
			dst = appendTwo(dst, micros%100)
		}
	}
	return append(dst, 'Z', '"')
}

func appendTwo(dst []byte, n uint32) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// dateReader reads timestamps. It remembers the last date that it met.
type dateReader struct {
	day  int64 // its beginning, in microseconds since 1970
	text string
}

// parse reads what is between the quotes of a timestamp. Of one that is not
// written as dateWriter does, it may return another time.
func (r *dateReader) parse(raw []byte) (t int64, ok bool) {
	if len(raw) == len("2026-03-04T08:15:42.318265Z") && r.text != "" && string(raw[:dateLen]) == r.text {
		h, m, s := two(raw[11:]), two(raw[14:]), two(raw[17:])
		micros := two(raw[20:])*10000 + two(raw[22:])*100 + two(raw[24:])
		return r.day + ((h*60+m)*60+s)*1_000_000 + micros, true
	}
	at, ok := protojson.ParseTime(raw)
	if !ok {
		return 0, false
	}
	t = at.UnixMicro()
	if start := t - (t%day+day)%day; len(raw) >= dateLen {
		r.day, r.text = start, stringOf(raw[:dateLen])
	}
	return t, true
}

// two reads two digits; of other bytes it makes some number.
func two(b []byte) int64 { return int64(b[0]-'0')*10 + int64(b[1]-'0') }
