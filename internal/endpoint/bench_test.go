package endpoint

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/redisinfo"
	"github.com/cloakroom-dev/cloakroom/internal/redistest"
	"github.com/redis/go-redis/v9"
)

// redisCPU is how much processor time a server has taken.
func redisCPU(b *testing.B, s *redistest.Server) time.Duration {
	b.Helper()
	info := s.Do("INFO", "cpu").(string)
	var sum float64
	for _, field := range []string{"used_cpu_user", "used_cpu_sys"} {
		seconds, err := strconv.ParseFloat(redisinfo.Field(info, field), 64)
		if err != nil {
			b.Fatal(err)
		}
		sum += seconds
	}
	return time.Duration(sum * float64(time.Second))
}

// BenchmarkProof tells what a proof costs Redis: a question on an open
// connection, and a new connection, without and with TLS.
func BenchmarkProof(b *testing.B) {
	plain := func(*redis.Options) {}
	for _, c := range []struct {
		name   string
		tls    bool
		resume bool
	}{{"plain", false, false}, {"tls", true, false}, {"tls-resumed", true, true}} {
		var access redistest.Access
		if c.tls {
			access.Certificates = redistest.NewCertificates(b)
		}
		s := redistest.StartWith(b, access)
		e := New(time.Second, "bench", slog.New(slog.DiscardHandler))
		e.Guard(s.Client(b, plain, func(o *redis.Options) {
			if o.TLSConfig == nil {
				return
			}
			config := o.TLSConfig.Clone()
			if c.resume {
				config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			o.TLSConfig = nil
			o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
				return (&tls.Dialer{Config: config}).DialContext(ctx, network, addr)
			}
		}))
		ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
		defer cancel()
		open := func() *asked {
			conn, err := e.connect(ctx)
			if err != nil {
				b.Fatal(err)
			}
			a, who, err := e.ask(ctx, conn)
			if err != nil || !who.isMaster() {
				b.Fatal(who, err)
			}
			return a
		}
		b.Run(c.name+"/connection", func(b *testing.B) {
			begun := redisCPU(b, s)
			for b.Loop() {
				_ = open().Close()
			}
			b.ReportMetric(float64((redisCPU(b, s)-begun).Microseconds())/float64(b.N), "redis-µs/op")
		})
		b.Run(c.name+"/question", func(b *testing.B) {
			a := open()
			defer func() { _ = a.Close() }()
			begun := redisCPU(b, s)
			for b.Loop() {
				if master, err := a.again(ctx); err != nil || !master {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((redisCPU(b, s)-begun).Microseconds())/float64(b.N), "redis-µs/op")
		})
	}
}
