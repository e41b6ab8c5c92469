package live

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/readiness"
)

// mostNew is how many points an answer has at most if it has not all of them, so that few answers are made of one sample, however
// many pages there are and whatever they have.
const mostNew = 30

// answers are those that have been made of the last sample.
type answers struct {
	whole, limited variant
	zip            *gzip.Writer // kept, for it takes most of a megabyte; nil before it is used
}

// variant is the answers for those who may see all sessions, or for all others.
type variant struct {
	latest []byte // what they have in common; nil before it is made
	made   [mostNew + 2]answer
}

// answer is one in both forms; nil is not made yet.
type answer struct{ plain, gzipped []byte }

func (a *answers) forget() { *a = answers{zip: a.zip} }

// Answer returns, as JSON, what the program did after the second with that number, or all that is kept if after is negative. It may
// begin earlier. All callers share it, so nobody may change it. It waits for nothing, and has Redis asked again if that was some
// time ago.
//
// Only with whole, for somebody who may see all sessions, it has how many sessions and copies of them there are, the addresses
// of Redis, and the texts of errors.
func (l *Live) Answer(after int64, whole bool) []byte { return l.answer(after, whole, false) }

// AnswerGzip is Answer, compressed.
func (l *Live) AnswerGzip(after int64, whole bool) []byte { return l.answer(after, whole, true) }

func (l *Live) answer(after int64, whole, gzipped bool) []byte {
	l.health.want()
	l.expiries.want()
	l.mu.Lock()
	defer l.mu.Unlock()
	points := min(l.samples.seq+1, kept)
	of := &l.answers.limited
	if whole {
		of = &l.answers.whole
	}
	a := &of.made[mostNew+1] // with all points
	if n := int64(l.samples.seq) - after; after >= 0 && n >= 0 && n <= mostNew && n < int64(points) {
		points = int(n)
		a = &of.made[n]
	}
	if a.plain == nil {
		if of.latest == nil {
			of.latest = l.encodeLatest(whole)
		}
		a.plain = l.encode(points, of.latest, whole)
	}
	if !gzipped {
		return a.plain
	}
	if a.gzipped == nil {
		a.gzipped = l.answers.compress(a.plain)
	}
	return a.gzipped
}

// encode makes an answer with so many points, and what it has in common with others.
func (l *Live) encode(points int, latest []byte, whole bool) []byte {
	s := &l.samples
	from := s.seq - points + 1
	to := make([]byte, 0, 256+points*int(seriesCount)*6+len(latest))
	to = append(to, `{"now":`...)
	to = appendTime(to, l.now)
	to = append(to, `,"startedAt":`...)
	to = appendTime(to, l.startedAt)
	to = append(to, `,"every":1,"from":`...)
	to = strconv.AppendInt(to, int64(from), 10)
	to = append(to, `,"seq":`...)
	to = strconv.AppendInt(to, int64(s.seq), 10)
	to = append(to, `,"series":{`...)
	separator := ""
	for i, name := range seriesNames {
		if !s.has(i) || !whole && countsSessions(i) {
			continue
		}
		to = append(to, separator...)
		to = append(to, '"')
		to = append(to, name...)
		to = append(to, `":[`...)
		for n := from; n <= s.seq; n++ {
			if n > from {
				to = append(to, ',')
			}
			to = appendNumber(to, s.points[i][n%kept])
		}
		to = append(to, ']')
		separator = ","
	}
	to = append(to, '}')
	return append(to, latest...)
}

// partView is a part of the program.
type partView struct {
	Part  string              `json:"part"`
	State readiness.Condition `json:"state"`
	Says  string              `json:"says"`
	Do    string              `json:"do"`
}

// encodeLatest makes the end of all answers of this sample.
func (l *Live) encodeLatest(whole bool) []byte {
	health := l.lastSeen.healthBy(time.Now())
	views := make([]partView, 0, len(health))
	for _, p := range health {
		if !whole {
			p.Says = plainly[p.State]
		}
		views = append(views, partView{p.Name, p.State, p.Says, p.Do})
	}
	shown := l.latest(health)
	if !whole {
		shown.limit()
	}
	text, err := json.Marshal(struct {
		Latest *latest    `json:"latest"`
		Health []partView `json:"health"`
	}{shown, views})
	if err != nil {
		panic("BUG: " + err.Error()) // there is nothing that cannot be written
	}
	text[0] = ','
	return text
}

func appendTime(to []byte, t time.Time) []byte {
	to = append(to, '"')
	to = t.UTC().AppendFormat(to, time.RFC3339Nano)
	return append(to, '"')
}

// compress returns text as gzip.
func (a *answers) compress(text []byte) []byte {
	var to bytes.Buffer
	if a.zip == nil {
		a.zip, _ = gzip.NewWriterLevel(nil, gzip.BestSpeed) // a level that there is
	}
	a.zip.Reset(&to)
	_, err := a.zip.Write(text)
	if closed := a.zip.Close(); err != nil || closed != nil {
		panic(fmt.Sprint("BUG: memory takes everything, and not this: ", err, closed))
	}
	return to.Bytes()
}
