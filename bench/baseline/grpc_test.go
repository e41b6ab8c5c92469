package baseline

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/bench/load"
	"github.com/cloakroom-dev/cloakroom/bench/result"
	"github.com/cloakroom-dev/cloakroom/bench/scenario"
)

// Each library answers the harness' calls with as many bytes as it is told to, many at a time.
func TestServeGRPC(t *testing.T) {
	for _, library := range libraries {
		for _, size := range []int{100, 900, 5000} {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- serveGRPC(ctx, ln, library, size) }()
			e, err := load.ParseEndpoint("http://" + ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"get-grpc", "list-grpc", "verify-grpc"} {
				s, err := scenario.New(name, scenario.Config{Host: "h", Key: "k", Zipf: 1, VerifySessions: 10, Data: scenario.Dataset{Sessions: 100, Newest: time.Now()}})
				if err != nil {
					t.Fatal(err)
				}
				a, _, err := load.Ask(t.Context(), e, s.Client(0, load.NewRand(1, 1)))
				if err != nil || a.Status != 200 || len(a.Body) != size {
					t.Errorf("%s, %s, %d bytes: %v, %+v", library, name, size, err, a)
				}
				l := &load.Load{Target: e, Scenario: s, Connections: 8, Length: 200 * time.Millisecond, Timeout: time.Minute, Seed: 1}
				o, err := l.Run(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				var run result.Run
				if err := o.Fill(&run); err != nil || run.Errors != 0 || run.Answered < uint64(l.Connections) {
					t.Errorf("%s, %s: %v, %d answered, %d errors: %s", library, name, err, run.Answered, run.Errors, run.FirstError)
				}
			}
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}
