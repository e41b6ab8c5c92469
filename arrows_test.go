// Package cloakroom_test holds the rules of the whole repository as tests: which package may know which, and what no file
// may contain.
package cloakroom_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/cloakroom-dev/cloakroom"

// arrows says which packages of ours each package may import. A new package is drawn here first.
var arrows = map[string][]string{
	"internal/protojson":       {},
	"internal/packed":          {"internal/protojson"},
	"internal/protobuf":        {},
	"internal/session":         {"internal/protobuf", "internal/protojson"},
	"internal/keys":            {"internal/session"},
	"internal/acl":             {"internal/keys"},
	"internal/batch":           {"internal/resp"},
	"internal/resp":            {},
	"internal/endpoint":        {"internal/redisinfo", "internal/resp"},
	"internal/push":            {"internal/redisinfo", "internal/resp"},
	"internal/redisinfo":       {},
	"internal/redisclock":      {"internal/redisinfo", "internal/session"},
	"internal/strictyaml":      {},
	"internal/suggest":         {},
	"internal/terminal":        {"internal/usage"},
	"internal/zlist":           {"internal/session"},
	"internal/lookalike":       {},
	"internal/breaker":         {},
	"internal/deadline":        {},
	"internal/bounded":         {},
	"internal/fairrate":        {},
	"internal/oidc":            {"internal/session", "internal/strictyaml", "internal/bounded"},
	"index":                    {"internal/acl", "internal/session", "internal/keys", "internal/packed", "internal/resp", "internal/zlist"},
	"upstream":                 {"internal/session"},
	"upstream/news":            {"cache", "internal/session", "upstream"},
	"upstream/setup":           {"internal/followed", "upstream"},
	"index/audit":              {"index", "internal/acl", "internal/keys", "internal/redisinfo", "internal/session", "internal/zlist"},
	"cache/deletions":          {"internal/keys", "internal/redisinfo", "internal/session"},
	"cache/ties":               {"internal/batch", "internal/keys", "internal/session", "internal/bounded"},
	"cache/near":               {"index", "internal/batch", "internal/keys", "internal/push", "internal/redisinfo", "internal/session", "internal/zlist", "internal/bounded"},
	"cache":                    {"cache/deletions", "cache/near", "cache/ties", "index", "index/audit", "internal/acl", "internal/batch", "internal/fairrate", "internal/keys", "internal/packed", "internal/redisclock", "internal/redisinfo", "internal/resp", "internal/session", "internal/zlist", "internal/bounded"},
	"cache/transfer":           {"cache", "cache/deletions", "internal/acl", "internal/keys", "internal/push", "internal/redisclock", "internal/redisinfo", "internal/session", "internal/zlist"},
	"internal/frames":          {},
	"cmd/cloakroom/move":       {"cache", "cache/transfer", "internal/breaker", "internal/config", "internal/frames", "internal/oidc", "internal/parts", "internal/redisconn", "internal/session", "internal/terminal", "internal/usage"},
	"internal/doctor":          {"cache", "index", "internal/acl", "internal/keys", "internal/oidc", "internal/push", "internal/redisinfo", "internal/resp", "internal/session", "upstream"},
	"httpapi/refusal":          {"internal/protojson"},
	"httpapi/server":           {"httpapi/refusal"},
	"httpapi/protocol":         {"httpapi/refusal", "httpapi/server", "internal/protojson"},
	"httpapi/imports":          {"httpapi/refusal", "internal/protojson"},
	"httpapi/caller":           {"httpapi/refusal", "cache", "index", "internal/deadline", "internal/oidc", "internal/session", "internal/strictyaml"},
	"httpapi/forward":          {"httpapi/refusal", "cache", "index", "internal/session", "upstream", "internal/bounded"},
	"httpapi/request":          {"httpapi/refusal", "httpapi/caller", "index", "internal/session", "internal/protojson"},
	"httpapi/assertion":        {"internal/session", "internal/protojson", "internal/bounded"},
	"httpapi/openapi":          {"httpapi/server"},
	"httpapi/admin":            {"httpapi/refusal", "httpapi/server"},
	"httpapi/console":          {"httpapi", "httpapi/caller", "httpapi/console/live", "httpapi/refusal", "httpapi/server", "httpapi/verify", "internal/protojson"},
	"httpapi/webhook":          {"httpapi/refusal", "internal/protojson", "internal/session", "upstream"},
	"httpapi/verify":           {"httpapi/server", "httpapi/assertion", "httpapi/caller", "cache", "internal/deadline", "internal/oidc", "internal/session", "internal/protojson"},
	"rpc":                      {"httpapi", "httpapi/server", "httpapi/verify", "internal/protobuf", "internal/protojson", "internal/session", "rpc/pb/objectv2", "rpc/pb/sessionv2", "rpc/pb/sessionv2beta"},
	"rpc/pb/zitadel":           {},
	"rpc/pb/objectv2":          {},
	"rpc/pb/objectv2beta":      {},
	"rpc/pb/sessionv2":         {"rpc/pb/objectv2", "rpc/pb/zitadel"},
	"rpc/pb/sessionv2beta":     {"rpc/pb/objectv2beta", "rpc/pb/zitadel"},
	"httpapi":                  {"httpapi/forward", "httpapi/openapi", "upstream", "httpapi/refusal", "httpapi/server", "httpapi/protocol", "httpapi/imports", "httpapi/caller", "httpapi/request", "httpapi/verify", "httpapi/webhook", "cache", "index", "internal/deadline", "internal/oidc", "internal/session", "internal/protojson"},
	"internal/usage":           {"internal/suggest"},
	"internal/apiclient":       {"internal/config", "internal/followed", "internal/usage"},
	"internal/samples":         {"internal/session"},
	"internal/parts":           {},
	"internal/followed":        {"internal/parts"},
	"internal/listen":          {"internal/usage"},
	"internal/redisconn":       {"cache", "internal/breaker", "internal/endpoint", "internal/followed", "internal/listen", "internal/lookalike", "internal/parts", "internal/usage"},
	"internal/config":          {"cache", "httpapi", "httpapi/assertion", "httpapi/caller", "httpapi/verify", "internal/followed", "internal/keys", "internal/listen", "internal/oidc", "internal/redisconn", "internal/strictyaml", "internal/suggest", "internal/usage", "rpc", "upstream"},
	"internal/logs":            {"httpapi", "httpapi/caller"},
	"internal/metrics":         {"cache", "cache/near", "index/audit", "internal/batch", "internal/breaker", "internal/endpoint"},
	"internal/readiness":       {"cache", "index/audit", "internal/acl", "internal/breaker", "internal/endpoint", "internal/keys", "internal/parts", "internal/redisinfo", "upstream", "upstream/news"},
	"httpapi/console/live":     {"cache/near", "httpapi/server", "httpapi/verify", "index", "index/audit", "internal/readiness"},
	"cmd/cloakroom/completion": {"internal/usage"},
	"cmd/cloakroom/sessions":   {"internal/apiclient", "internal/config", "internal/followed", "internal/suggest", "internal/terminal", "internal/usage"},
	"cmd/cloakroom":            {"cache", "cache/transfer", "cmd/cloakroom/move", "cmd/cloakroom/completion", "cmd/cloakroom/sessions", "httpapi", "httpapi/admin", "httpapi/caller", "httpapi/console", "httpapi/console/live", "httpapi/server", "httpapi/webhook", "index", "index/audit", "internal/acl", "internal/breaker", "internal/config", "internal/doctor", "internal/followed", "internal/keys", "internal/listen", "internal/logs", "internal/metrics", "internal/oidc", "internal/parts", "internal/readiness", "internal/redisconn", "internal/samples", "internal/session", "internal/suggest", "internal/terminal", "internal/usage", "rpc", "upstream", "upstream/news", "upstream/setup"},
	"bench/result":             {},
	"bench/load":               {"bench/result"},
	"bench/cli":                {},
	"bench/issuer":             {"bench/cli"},
	"bench/scenario":           {"bench/issuer", "bench/load"},
	"bench/quantity":           {"bench/result"},
	"bench/compare":            {"bench/cli", "bench/quantity", "bench/result"},
	"bench/report":             {"bench/cli", "bench/quantity", "bench/result"},
	"bench/source":             {"bench/cli", "bench/issuer", "bench/load", "bench/result", "bench/scenario"},
	"bench/experiment":         {"bench/cli", "bench/issuer", "bench/load", "bench/result", "bench/scenario", "bench/source"},
	"bench/peers":              {"bench/cli", "bench/issuer", "bench/scenario", "bench/source"},
	"bench/baseline":           {"bench/cli", "bench/peers", "bench/scenario"},
	"bench/redisproxy":         {"bench/cli", "bench/load"},
	"bench/seed":               {"bench/cli", "bench/load", "bench/scenario", "bench/source"},
	"bench/measure":            {"bench/cli", "bench/experiment", "bench/load", "bench/peers", "bench/quantity", "bench/result", "bench/scenario", "bench/source"},
	"bench/zitadel":            {"bench/cli", "internal/zitadeltest"},
	"bench":                    {"bench/baseline", "bench/compare", "bench/issuer", "bench/measure", "bench/redisproxy", "bench/report", "bench/seed", "bench/zitadel"},
	"":                         {},

	// For tests only: nobody's product code may import these.
	"bench/testserver":       {"bench/issuer"},
	"internal/oidc/oidctest": {"internal/eventually"},
	"internal/redistest":     {"internal/eventually"},
	"internal/tlstest":       {},
	"test/clients/goclient":  {},
	"test/clients":           {},
	"test/gateways":          {},
	"test/linear":            {},
	"test/prometheus":        {},
	"test/torture":           {},
	"internal/storetest":     {"cache", "index", "internal/session", "internal/testdepth"},
	"internal/testdepth":     {},
	"internal/testfile":      {},
	"internal/eventually":    {},
	"internal/leaks":         {},
	"internal/observed":      {},
	"internal/nodetest":      {},
	"internal/programtest":   {"internal/eventually", "internal/redistest"},
	"test/console":           {},
	"internal/zitadeltest":   {"internal/eventually", "rpc/pb/objectv2", "rpc/pb/sessionv2", "rpc/pb/sessionv2beta", "rpc/pb/zitadel"},
}

// testOnly are the packages that only tests, and each other, may import.
var testOnly = []string{"bench/testserver", "internal/eventually", "internal/leaks", "internal/nodetest", "internal/observed", "internal/oidc/oidctest", "internal/programtest", "internal/redistest", "internal/storetest", "internal/testdepth", "internal/testfile", "internal/tlstest", "internal/zitadeltest", "test/clients", "test/clients/goclient", "test/console", "test/gateways", "test/linear", "test/prometheus", "test/torture"}

// homes says which packages may import a module, or a package of it, in product code.
var homes = map[string][]string{
	"github.com/valyala/fasthttp":        {"bench/issuer", "bench/peers", "httpapi", "httpapi/admin", "httpapi/caller", "httpapi/console", "httpapi/forward", "httpapi/openapi", "httpapi/protocol", "httpapi/refusal", "httpapi/server", "httpapi/verify", "rpc"},
	"connectrpc.com":                     {"bench/baseline", "internal/zitadeltest", "rpc"},
	"github.com/fasthttp/router":         {"httpapi"},
	"github.com/redis/go-redis":          {"bench/measure", "bench/peers", "bench/redisproxy", "bench/source", "cache", "cache/deletions", "cache/near", "cache/ties", "cache/transfer", "cmd/cloakroom", "index", "index/audit", "internal/acl", "internal/batch", "internal/breaker", "internal/doctor", "internal/endpoint", "internal/metrics", "internal/push", "internal/readiness", "internal/redisclock", "internal/redisconn", "internal/redisinfo", "internal/redistest", "internal/resp", "internal/zlist"},
	"github.com/redis/rueidis":           {"bench/peers"},
	"github.com/jackc":                   {"bench/peers"},
	"github.com/sony/gobreaker":          {"internal/breaker", "upstream"},
	"github.com/alicebob/miniredis":      {"internal/lookalike", "internal/redisconn"},
	"github.com/klauspost/compress/gzip": {"internal/frames"},
	"github.com/klauspost/compress/zstd": {"internal/frames"},
	"github.com/spf13/pflag":             {"cmd/cloakroom", "cmd/cloakroom/completion", "cmd/cloakroom/move", "cmd/cloakroom/sessions", "internal/config", "internal/usage"},
	"github.com/knadh/koanf":             {"internal/config"},
	"flag":                               {"bench", "bench/baseline", "bench/cli", "bench/compare", "bench/experiment", "bench/issuer", "bench/measure", "bench/redisproxy", "bench/report", "bench/seed", "bench/source", "bench/zitadel", "internal/testdepth"},
	"github.com/goccy/go-json":           {"internal/protojson"},
	"go.yaml.in":                         {"httpapi/caller", "httpapi/openapi", "internal/config", "internal/strictyaml"},
	"github.com/golang-jwt/jwt":          {"bench/issuer", "bench/peers", "internal/oidc", "internal/oidc/oidctest", "internal/zitadeltest", "upstream"},
	"github.com/MicahParks":              {"internal/oidc"},
	"github.com/maypok86/otter":          {"internal/bounded"},
	"gonum.org":                          {"bench/report"},
	"github.com/HdrHistogram":            {"bench/experiment", "bench/load", "bench/report", "bench/result"},
	"github.com/rivo/uniseg":             {"cmd/cloakroom/sessions"},
	"github.com/schollz":                 {"bench/cli", "internal/terminal"},
	"encoding/json/v2":                   {},
	"github.com/anishathalye":            {"test/linear"},
	"testing":                            testOnly,
}

type pkg struct {
	ImportPath, Name             string
	Standard                     bool
	Imports, Deps                []string
	TestImports, XTestImports    []string
	GoFiles, TestGoFiles         []string
	XTestGoFiles, IgnoredGoFiles []string
}

// dir returns the package's directory in the repository, "" for the root.
func (p *pkg) dir() string { return local(p.ImportPath) }

// local returns a package of ours as a directory, and others as they are.
func local(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

// imported returns what the package imports, with what only its tests do if it is one for tests.
func (p *pkg) imported() []string {
	if slices.Contains(testOnly, p.dir()) {
		return slices.Concat(p.Imports, p.TestImports, p.XTestImports)
	}
	return p.Imports
}

// isOf returns whether an import is a module, or a package of it.
func isOf(prefix string) func(imported string) bool {
	return func(imported string) bool { return imported == prefix || strings.HasPrefix(imported, prefix+"/") }
}

func isOurs(importPath string) bool {
	return importPath == module || strings.HasPrefix(importPath, module+"/")
}

// list returns the packages of the repository.
var list = sync.OnceValues(func() ([]*pkg, error) {
	cmd := exec.Command("go", "list", "-json", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, errors.Join(err, errors.New(stderr.String()))
	}
	var all []*pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := new(pkg)
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
})

func packages(t *testing.T) []*pkg {
	t.Helper()
	all, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 8 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

func TestArrows_PackagesImportOnlyTheirNeighbours(t *testing.T) {
	for _, p := range packages(t) {
		may, drawn := arrows[p.dir()]
		if !drawn {
			t.Errorf("%s is not drawn in arrows", p.dir())
			continue
		}
		for _, imported := range p.Imports {
			if isOurs(imported) && !slices.Contains(may, local(imported)) {
				t.Errorf("%s imports %s", p.dir(), local(imported))
			}
		}
	}
}

func TestArrows_NoneIsUnused(t *testing.T) {
	all := packages(t)
	for dir, may := range arrows {
		i := slices.IndexFunc(all, func(p *pkg) bool { return p.dir() == dir })
		if i < 0 {
			t.Errorf("arrows draws %s, which is no package", dir)
			continue
		}
		for _, to := range may {
			if !slices.Contains(all[i].Imports, module+"/"+to) {
				t.Errorf("%s does not import %s, as arrows lets it", dir, to)
			}
		}
	}
}

// What arrows forbids directly must not come in by a detour, nor through a third party.
func TestArrows_NothingForbiddenIsReached(t *testing.T) {
	f := func(from string, never ...string) {
		t.Helper()
		for _, p := range packages(t) {
			if p.dir() != from {
				continue
			}
			for _, dep := range p.Deps {
				for _, n := range never {
					if local(dep) == n || strings.HasPrefix(local(dep), n+"/") {
						t.Errorf("%s reaches %s", from, local(dep))
					}
				}
			}
			return
		}
		t.Errorf("there is no package %s", from)
	}
	const fasthttp, goRedis = "github.com/valyala/fasthttp", "github.com/redis/go-redis"
	f("internal/session", fasthttp, goRedis, "net/http", "cache", "index", "httpapi")
	f("internal/keys", fasthttp, goRedis, "net/http", "cache", "index", "httpapi")
	f("internal/oidc", fasthttp, goRedis, "cache", "index", "httpapi")
	f("upstream", fasthttp, goRedis, "cache", "index", "httpapi")
	f("internal/zlist", fasthttp, "cache", "index", "httpapi")
	f("index", fasthttp, "cache", "httpapi")
	f("cache/deletions", fasthttp, "index", "httpapi")
	f("cache/ties", fasthttp, "index", "httpapi", "upstream")
	f("cache/near", fasthttp, "httpapi")
	f("index/audit", fasthttp, "cache", "httpapi")
	f("cache", fasthttp, "httpapi")
	f("httpapi", "cmd", "bench")
	f("httpapi/server", goRedis, "cache", "index", "internal/session", "internal/oidc")
	f("cmd/cloakroom", append([]string{"bench", "testing"}, testOnly...)...)
	f("bench/compare", fasthttp, goRedis, "bench/load")
	f("bench/report", fasthttp, goRedis, "bench/load")
	f("bench/load", fasthttp, goRedis, "bench/scenario")
	f("bench", "cmd", "httpapi", "cache", "index", "internal/session", "internal/keys", "internal/protojson")
}

// doubles are what bench may import of the rest: a double of ZITADEL is not the program.
var doubles = map[string][]string{"bench/zitadel": {"internal/zitadeltest"}}

// inBench says whether a package belongs to the bench harness, which knows the program from outside only.
func inBench(dir string) bool { return dir == "bench" || strings.HasPrefix(dir, "bench/") }

func TestArrows_BenchAndItsTestsImportNothingOfTheProgram(t *testing.T) {
	for _, p := range packages(t) {
		if !inBench(p.dir()) {
			continue
		}
		for _, imported := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
			if isOurs(imported) && !inBench(local(imported)) && !slices.Contains(doubles[p.dir()], local(imported)) {
				t.Errorf("%s, or a test of it, imports %s", p.dir(), imported)
			}
		}
	}
}

func TestArrows_ThirdPartiesStayInTheirHomes(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for prefix, home := range homes {
				if isOf(prefix)(imported) && !slices.Contains(home, p.dir()) {
					t.Errorf("%s imports %s, which only %v may", p.dir(), imported, home)
				}
			}
		}
	}
}

func TestArrows_NoHomeIsUnused(t *testing.T) {
	all := packages(t)
	for prefix, home := range homes {
		if prefix == "testing" {
			continue // not all need it
		}
		for _, dir := range home {
			if !slices.ContainsFunc(all, func(p *pkg) bool { return p.dir() == dir && slices.ContainsFunc(p.imported(), isOf(prefix)) }) {
				t.Errorf("%s does not import %s, as homes lets it", dir, prefix)
			}
		}
	}
}

// Of files for several systems only those of this one count, and no generators.
func TestFiles_APackageHasFew(t *testing.T) {
	const most = 25
	for _, p := range packages(t) {
		if n := len(p.GoFiles); n > most {
			t.Errorf("%s has %d files, want at most %d: move a thing of its own to a package of its own", p.dir(), n, most)
		}
	}
}

func TestNames_NoPackageIsNamedAfterNothing(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range []string{"util", "utils", "common", "manager", "service", "helper", "helpers", "misc"} {
			if p.Name == name || path.Base(p.ImportPath) == name {
				t.Errorf("%s is named %s", p.dir(), name)
			}
		}
	}
}

// files returns the repository's files with one of the extensions, without those of hidden and build directories.
func files(t *testing.T, extensions ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || name == "bin" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case !d.IsDir() && slices.Contains(extensions, filepath.Ext(name)):
			found = append(found, filepath.ToSlash(name))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("there is no file with the extension %v", extensions)
	}
	return found
}

// inspect calls f for each use of a function or method x.name in the Go files that want accepts. receiver is the import
// path if x is an imported package, else the name of x.
func inspect(t *testing.T, want func(file string) bool, f func(receiver, name, position string)) {
	t.Helper()
	parse(t, want, func(set *token.FileSet, file *ast.File) {
		imported := map[string]string{}
		for _, spec := range file.Imports {
			importPath, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			as := path.Base(importPath)
			if spec.Name != nil {
				as = spec.Name.Name
			}
			imported[as] = importPath
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					receiver := x.Name
					if importPath, ok := imported[receiver]; ok {
						receiver = importPath
					}
					f(receiver, sel.Sel.Name, set.Position(sel.Pos()).String())
				}
			}
			return true
		})
	})
}

// parse calls f for each Go file that want accepts.
func parse(t *testing.T, want func(file string) bool, f func(set *token.FileSet, file *ast.File)) {
	t.Helper()
	for _, name := range files(t, ".go") {
		if !want(name) {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			continue
		}
		f(set, file)
	}
}
