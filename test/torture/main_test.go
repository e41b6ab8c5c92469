package torture

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-dev/cloakroom/internal/programtest"
	"github.com/cloakroom-dev/cloakroom/internal/testdepth"
)

var update = flag.Bool("update", false, "write the table into docs/faults.md")

// The amounts; doc.go says what they are.
var (
	seed         = number("CLOAKROOM_TORTURE_SEED", rand.Int64())
	rounds       = int(number("CLOAKROOM_TORTURE_ROUNDS", 1))
	kills        = int(number("CLOAKROOM_TORTURE_KILLS", 20))
	soakOps      int // set when the flags are known
	crowds       = int(number("CLOAKROOM_TORTURE_CROWD", 1200))
	costliest    = int(number("CLOAKROOM_TORTURE_COSTLY", 2000))
	faultTime    = lasting("CLOAKROOM_TORTURE_FAULT", 1200*time.Millisecond)
	overloadTime = lasting("CLOAKROOM_TORTURE_OVERLOAD", time.Second)
	withRace     = os.Getenv("CLOAKROOM_TORTURE_RACE") == "1"
	reportDir    = os.Getenv("CLOAKROOM_TORTURE_REPORT")
)

// cloakroomBin is the program under test, built once, plainBin without the race detector; keysFile has an API key with all permissions, whose secret is apiKey.
var cloakroomBin, plainBin, keysFile, apiKey string

// creator is the user of the API key, the creator of all sessions.
const creator = "tester"

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	testdepth.Parallel(8) // a world of the matrix mostly waits
	soakOps = int(number("CLOAKROOM_TORTURE_OPS", testdepth.Of[int64](20_000, 6000)))
	fmt.Fprintf(os.Stderr, "torture: CLOAKROOM_TORTURE_SEED=%d\n", seed)
	dir, err := os.MkdirTemp("", "crtorture")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	plainBin, err = programtest.Build(dir)
	cloakroomBin = plainBin
	if err == nil && withRace {
		cloakroomBin = filepath.Join(dir, "cloakroom-race")
		err = exec.Command("go", "build", "-race", "-ldflags=-s -w", "-o", cloakroomBin, "../../cmd/cloakroom").Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	keysFile = filepath.Join(dir, "keys.yaml")
	secret, err := exec.Command(cloakroomBin, "key", "new", "--name", "test", "--user-id", creator, "--file", keysFile,
		"--permission", "session.read", "--permission", "session.write", "--permission", "session.delete").Output()
	if err != nil {
		fmt.Fprintln(os.Stderr, "cloakroom key new:", err)
		return 1
	}
	apiKey = strings.TrimSpace(string(secret))
	report.begin()
	code := m.Run()
	if err := report.write(); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		code = 1
	}
	// These of fasthttp's client end ten seconds later.
	err = goleak.Find(goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*HostClient).connsCleaner"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*TCPDialer).tcpAddrsClean"))
	if err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// turnOf says whether the n-th of the tests that need the machine for themselves has its turn: with -short every other one.
func turnOf(t *testing.T, n int) bool { return testdepth.OneIn(t, 2)(n) }

func number(name string, def int64) int64 {
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 {
		panic(name + " must be a number above 0")
	}
	return n
}

func lasting(name string, def time.Duration) time.Duration {
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		panic(name + " must be a duration above 0")
	}
	return d
}

// chance returns randomness of the run's seed for one who draws it alone.
func chance(name string, n int) *rand.Rand {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %d", name, n)
	return rand.New(rand.NewPCG(uint64(seed), h.Sum64()))
}
