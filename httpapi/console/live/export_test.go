package live

import "context"

// Sample takes a sample now, as if a second had passed since the last one.
func (l *Live) Sample() error {
	l.startedAt = l.startedAt.Add(-every)
	return l.sample()
}

// Look looks at the health and the sessions, as it does when somebody has asked for an answer.
func (l *Live) Look(ctx context.Context) {
	l.lookAtHealth(ctx)
	l.countExpiries(ctx)
}

// Families are the names of the metrics that are followed.
func Families() (names []string) {
	for name := range takes {
		names = append(names, "cloakroom_"+name)
	}
	for name := range gauges {
		names = append(names, "cloakroom_"+name)
	}
	return names
}

// Elapsed returns how many seconds the last sample is of.
func (l *Live) Elapsed() float64 { return l.samples.elapsed[l.samples.place] }

// Seq is the number of the last sample.
func (l *Live) Seq() int64 { return int64(l.samples.seq) }
