package near

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/batch"
	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// errAbandoned ends a load whose reader never came to its end.
var errAbandoned = errors.New("a load was abandoned")

// read reads keys from Redis, over ordinary connections if over is nil. It gives what it
// found for keys[i] at i; what was not found is the zero value.
type read[K comparable, V any] func(ctx context.Context, over batch.Doer, keys []K) ([]V, error)

// fetch answers for keys that copies lacks. Keys that are being
// loaded for another caller are waited for; the others are read, in one call,
// and kept. What others read may answer this caller, so it must still ask whether
// copies may be used.
func (s *copies[K, V]) fetch(ctx context.Context, keys []K, now instant, read read[K, V], found func(V) bool) (values []V, err error) {
	var (
		mine    = make([]int, 0, len(keys)) // positions in keys
		asked   = make([]K, 0, len(keys))
		loads   = make([]*load[V], len(keys))
		waiting []int
		again   []int // what is read again, and not kept
		ended   int
	)
	defer func() { // also if read panics: others wait
		for _, i := range mine[ended:] {
			var none V
			s.end(keys[i], loads[i], none, false, errAbandoned)
		}
	}()
	for i, key := range keys {
		l, leads := s.begin(key, now)
		loads[i] = l
		if leads {
			mine, asked = append(mine, i), append(asked, key)
		} else {
			waiting = append(waiting, i)
		}
	}
	values = make([]V, len(keys))
	if len(mine) > 0 {
		over := s.source.over()
		got, err := read(ctx, over, asked)
		if err != nil && !isLinkError(err) {
			return nil, err
		}
		for j, i := range mine {
			if err == nil {
				values[i] = got[j]
			}
			s.end(keys[i], loads[i], values[i], err == nil && found(values[i]), err)
			if err != nil || over != nil && loads[i].overtaken {
				again = append(again, i)
			}
			ended++
		}
	}
	mine, ended = mine[:0], 0
	for _, i := range waiting {
		value, ok, err := s.wait(ctx, loads[i])
		if err != nil {
			return nil, err
		}
		if !ok {
			again = append(again, i)
		}
		values[i] = value
	}
	if len(again) == 0 {
		return values, nil
	}
	asked = asked[:0]
	for _, i := range again {
		asked = append(asked, keys[i])
	}
	got, err := read(ctx, nil, asked)
	if err != nil {
		return nil, err
	}
	for j, i := range again {
		values[i] = got[j]
		s.changed(keys[i]) // no page is to answer what is older
	}
	return values, nil
}

// fetchOne is fetch for one key. copied says that the value is to be treated as a copy:
// another caller read it, or a link has answered it.
func (s *copies[K, V]) fetchOne(ctx context.Context, key K, now instant, join bool, read func(context.Context, batch.Doer) (V, error), found func(V) bool) (value V, copied bool, err error) {
	l, leads := s.begin(key, now)
	switch {
	case !leads && join:
		if value, ok, err := s.wait(ctx, l); err != nil || ok {
			return value, err == nil, err
		}
	case leads:
		over := s.source.over()
		value, err = s.lead(ctx, key, l, over, read, found)
		if over == nil || !isLinkError(err) && !l.overtaken {
			return value, over != nil, err
		}
	}
	value, err = read(ctx, nil)
	s.changed(key) // no page is to answer what is older
	return value, false, err
}

// lead reads for a load, and ends it.
func (s *copies[K, V]) lead(ctx context.Context, key K, l *load[V], over batch.Doer, read func(context.Context, batch.Doer) (V, error), found func(V) bool) (value V, err error) {
	err = errAbandoned // unless read returns
	defer func() { s.end(key, l, value, err == nil && found(value), err) }()
	value, err = read(ctx, over)
	return value, err
}

func isStored(s *session.Stored) bool { return s != nil }
