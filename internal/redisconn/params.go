package redisconn

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// mostConns is how many connections a parameter of the URL may ask for.
	mostConns = 65535
	// mostBuffer is how many bytes a buffer of a connection may have.
	mostBuffer = 64 << 20
	// A time-out in the URL is between these.
	leastTimeout, mostTimeout = time.Millisecond, time.Hour
	// mostAge is how long a connection may be told to stay.
	mostAge = 365 * 24 * time.Hour
)

// params says which values of each parameter of a --redis-url can work.
// go-redis takes more: no number is too small for it, and a time-out of 0 is
// none. Parameters that it adds in another version are refused until they are here.
var params = map[string]func(value string) bool{
	"db":                         validDB,
	"client_name":                validClientName,
	"protocol":                   paramOneOf("3"), // without RESP3 there are no invalidations
	"max_retries":                paramOneOf("-1", "0"),
	"dial_timeout":               paramTimeout,
	"read_timeout":               paramTimeout,
	"write_timeout":              paramTimeout,
	"pool_timeout":               paramTimeout,
	"pool_fifo":                  paramOneOf("true", "false", "1", "0"),
	"pool_size":                  paramNumber(1, mostConns),
	"max_idle_conns":             paramNumber(0, mostConns),
	"max_active_conns":           paramNumber(1, mostConns),
	"max_concurrent_dials":       paramNumber(1, mostConns),
	"pipeline_pool_size":         func(v string) bool { return v == "-1" || paramNumber(1, mostConns)(v) },
	"pipeline_read_buffer_size":  paramNumber(1, mostBuffer),
	"pipeline_write_buffer_size": paramNumber(1, mostBuffer),
	"conn_max_idle_time":         paramAge,
	"idle_timeout":               paramAge,
	"conn_max_lifetime":          paramAge,
	"max_conn_age":               paramAge,
	"conn_max_lifetime_jitter":   paramTimeout,
	"skip_verify":                paramOneOf("true", "false", "1", "0"),
}

// validParams says whether the parameters of a --redis-url can work, each alone
// and together.
func validParams(query string) bool {
	values, err := url.ParseQuery(query)
	if err != nil {
		return false
	}
	for name, v := range values {
		valid, known := params[name]
		if !known || len(v) != 1 || !valid(v[0]) { // of two, one would count for nothing
			return false
		}
	}
	get := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(values.Get(name)); err == nil {
			return n
		}
		return otherwise
	}
	pool := get("pool_size", poolSize)
	switch {
	case values.Has("conn_max_idle_time") && values.Has("idle_timeout"), values.Has("conn_max_lifetime") && values.Has("max_conn_age"):
		return false // two names of one thing
	case values.Has("conn_max_lifetime_jitter") && !values.Has("conn_max_lifetime") && !values.Has("max_conn_age"):
		return false
	case get("max_active_conns", pool) < pool: // go-redis does not wait at that limit: requests fail
		return false
	}
	return true
}

// validDB says whether a text is the number of a database, as Redis writes it.
func validDB(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == text
}

// validClientName says whether CLIENT SETNAME takes a name.
func validClientName(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' })
}

// paramOneOf takes these texts.
func paramOneOf(texts ...string) func(string) bool {
	return func(v string) bool {
		for _, t := range texts {
			if v == t {
				return true
			}
		}
		return false
	}
}

// paramNumber takes decimal numbers from least to most.
func paramNumber(least, most int) func(string) bool {
	return func(v string) bool {
		n, err := strconv.Atoi(v)
		return err == nil && n >= least && n <= most && strconv.Itoa(n) == v
	}
}

// paramTimeout takes durations that leave Redis time to answer, and come to an end.
func paramTimeout(v string) bool {
	d, ok := paramDuration(v)
	return ok && d >= leastTimeout && d <= mostTimeout
}

// paramAge takes durations, and 0 and -1, which are no limit.
func paramAge(v string) bool {
	d, ok := paramDuration(v)
	return v == "0" || v == "-1" || ok && d >= leastTimeout && d <= mostAge
}

// paramDuration reads what go-redis does: seconds, or a duration with its unit.
func paramDuration(v string) (time.Duration, bool) {
	if n, err := strconv.Atoi(v); err == nil {
		return time.Duration(n) * time.Second, n >= 0 && n <= int(mostAge/time.Second)
	}
	d, err := time.ParseDuration(v)
	return d, err == nil
}
