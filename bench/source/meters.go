package source

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Meters read what the program under test and its Redis say of themselves
// before and after a run. Either may be absent.
type Meters struct {
	admin         load.Endpoint
	hasAdmin      bool
	redis         *redis.Client
	redisVersion  string
	redisSettings map[string]string
	// PID is of a baseline that was started here, which has no admin listener; 0 is none.
	PID int
	// Postgres is the process ID of a PostgreSQL server on this machine that the program asks; 0 is none.
	Postgres int
}

// redisSettingNames are the settings of Redis that change what a measurement shows.
var redisSettingNames = []string{
	"maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save", "io-threads",
	"hash-max-listpack-entries", "hash-max-listpack-value", "zset-max-listpack-entries", "zset-max-listpack-value",
}

// OpenMeters opens those that the flags name. Without --admin or --redis there is
// none of that kind; a Redis that does not answer is an error.
func OpenMeters(ctx context.Context, f *Flags) (*Meters, error) {
	m := &Meters{}
	if f.Admin != "" {
		e, err := load.ParseEndpoint(f.Admin)
		if err != nil {
			return nil, fmt.Errorf("--admin: %w", err)
		}
		m.admin, m.hasAdmin = e, true
	}
	if f.Redis == "" {
		return m, nil
	}
	client, err := OpenRedis(f.Redis, 1)
	if err != nil {
		return nil, err
	}
	m.redis, m.redisSettings = client, map[string]string{}
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return nil, errors.Join(err, client.Close())
	}
	m.redisVersion = infoField(info, "redis_version")
	if v := infoField(info, "valkey_version"); v != "" { // what it calls redis_version is that of the Redis it is like
		m.redisVersion = "valkey " + v
	}
	for _, name := range redisSettingNames {
		if values, err := client.ConfigGet(ctx, name).Result(); err == nil { // an ACL may forbid it
			if v, ok := values[name]; ok {
				m.redisSettings[name] = v
			}
		}
	}
	return m, nil
}

// OpenRedis opens a plain client, as an ordinary user of it would, with that many
// connections at most; 0 is go-redis' default. No error has the URL.
func OpenRedis(url string, connections int) (*redis.Client, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("--redis: not a URL of a Redis") // err may hold a password
	}
	options.PoolSize = connections
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return redis.NewClient(options), nil
}

// Close closes the connections to Redis.
func (m *Meters) Close() {
	if m.redis != nil {
		_ = m.redis.Close()
	}
}

// Reading is the sum of each series of /metrics by name, and Redis' CPU seconds.
type Reading map[string]float64

const (
	redisCPU        = "redis CPU seconds"
	postgresCPU     = "PostgreSQL CPU seconds"
	programCPU      = "process_cpu_seconds_total"
	programResident = "process_resident_memory_bytes"
	upstreamCalls   = "cloakroom_upstream_calls_total"
)

// Read returns what can be read; what cannot is left out.
func (m *Meters) Read(ctx context.Context) Reading {
	r := Reading{}
	if m.hasAdmin {
		request := []byte("GET /metrics HTTP/1.1\r\nHost: " + m.admin.Host + "\r\nConnection: close\r\n\r\n")
		if a, err := load.Fetch(ctx, m.admin, request); err == nil && a.Status == 200 {
			r.ParseMetrics(a.Body)
		}
	}
	if m.PID != 0 {
		r.readProcess(m.PID)
	}
	if m.Postgres != 0 {
		if seconds, err := familyCPU(m.Postgres); err == nil {
			r[postgresCPU] = seconds
		}
	}
	if m.redis != nil {
		if info, err := m.redis.Info(ctx, "cpu").Result(); err == nil {
			for _, name := range []string{"used_cpu_user", "used_cpu_sys"} {
				v, _ := strconv.ParseFloat(infoField(info, name), 64)
				r[redisCPU] += v
			}
		}
	}
	return r
}

// ParseMetrics adds what text in Prometheus' format says. A series of the near cache keeps
// its labels: they may say whether it counts hits or misses.
func (r Reading) ParseMetrics(text []byte) {
	for scanner := bufio.NewScanner(bytes.NewReader(text)); scanner.Scan(); {
		line := scanner.Text()
		i := strings.LastIndexByte(line, ' ')
		if i < 0 || line[0] == '#' {
			continue
		}
		v, err := strconv.ParseFloat(line[i+1:], 64)
		if err != nil {
			continue
		}
		name, labels, _ := strings.Cut(line[:i], "{")
		if strings.HasPrefix(name, nearPrefix) && labels != "" {
			name += "{" + labels
		}
		r[name] += v
	}
}

const nearPrefix = "cloakroom_near_"

// figures adds what n requests between two readings cost.
func (m *Meters) figures(to map[string]float64, before, after Reading, n float64) {
	difference := func(name string) (float64, bool) {
		b, ok := after[name]
		return b - before[name], ok
	}
	if d, ok := difference(programCPU); ok {
		to["program_cpu_us_per_request"] = d * 1e6 / n
	}
	if v, ok := after[programResident]; ok {
		to["program_resident_mib"] = v / (1 << 20)
	}
	if d, ok := difference(upstreamCalls); ok {
		to["upstream_calls_per_request"] = d / n
	}
	if d, ok := difference(redisCPU); ok {
		to["redis_cpu_us_per_request"] = d * 1e6 / n
	}
	if d, ok := difference(postgresCPU); ok {
		to["postgres_cpu_us_per_request"] = d * 1e6 / n
	}
	var hits, misses float64
	for name := range after {
		if !strings.HasPrefix(name, nearPrefix) || strings.Contains(name, "_bucket") {
			continue
		}
		d, _ := difference(name)
		switch {
		case strings.Contains(name, "hit"):
			hits += d
		case strings.Contains(name, "miss"):
			misses += d
		}
	}
	if hits+misses > 0 {
		to["near_hit_ratio"] = hits / (hits + misses)
	}
}

// infoField returns a field of Redis' INFO.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}
