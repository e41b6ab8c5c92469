package near

import (
	"context"
	"errors"

	"github.com/cloakroom-dev/cloakroom/internal/session"
)

// errAbandoned ends a load whose reader never came to its end.
var errAbandoned = errors.New("a load was abandoned")

// read reads keys from Redis. It gives what it found for keys[i] at i; what
// was not found is the zero value.
type read[K comparable, V any] func(ctx context.Context, keys []K) ([]V, error)

// fetch answers for keys that copies lacks. Keys that are being
// loaded for another caller are waited for; the others are read, in one call,
// and kept. join says that what others read may answer this caller: it must
// then still ask whether copies may be used.
func (s *copies[K, V]) fetch(ctx context.Context, keys []K, now instant, join bool, read read[K, V], found func(V) bool) (values []V, err error) {
	var (
		mine    = make([]int, 0, len(keys)) // positions in keys
		asked   = make([]K, 0, len(keys))
		loads   = make([]*load[V], len(keys))
		waiting []int
		ended   int
	)
	defer func() { // also if read panics: others wait
		for _, i := range mine[ended:] {
			if loads[i] != nil {
				var none V
				s.end(keys[i], loads[i], none, false, errAbandoned)
			}
		}
	}()
	for i, key := range keys {
		l, leads := s.begin(key, now)
		switch {
		case leads:
			loads[i] = l
			mine, asked = append(mine, i), append(asked, key)
		case join:
			loads[i] = l
			waiting = append(waiting, i)
		default: // read it too, but do not keep it
			mine, asked = append(mine, i), append(asked, key)
		}
	}
	values = make([]V, len(keys))
	if len(mine) > 0 {
		got, err := read(ctx, asked)
		if err != nil {
			return nil, err
		}
		for j, i := range mine {
			values[i] = got[j]
			if loads[i] != nil {
				s.end(keys[i], loads[i], got[j], found(got[j]), nil)
			}
			ended++
		}
	}
	mine, ended = mine[:0], 0
	var again []int
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
	got, err := read(ctx, asked)
	if err != nil {
		return nil, err
	}
	for j, i := range again {
		values[i] = got[j]
	}
	return values, nil
}

// fetchOne is fetch for one key. joined says that the value is what another
// caller read.
func (s *copies[K, V]) fetchOne(ctx context.Context, key K, now instant, join bool, read func(context.Context) (V, error), found func(V) bool) (value V, joined bool, err error) {
	l, leads := s.begin(key, now)
	if !leads {
		if join {
			if value, ok, err := s.wait(ctx, l); err != nil || ok {
				return value, err == nil, err
			}
		}
		value, err = read(ctx)
		return value, false, err
	}
	err = errAbandoned // unless read returns
	defer func() { s.end(key, l, value, err == nil && found(value), err) }()
	value, err = read(ctx)
	return value, false, err
}

func isStored(s *session.Stored) bool { return s != nil }
