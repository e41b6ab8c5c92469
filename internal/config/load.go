package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloakroom-dev/cloakroom/internal/followed"
	"github.com/cloakroom-dev/cloakroom/internal/usage"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

const (
	// envPrefix begins the names of all environment variables that are ours.
	envPrefix = "CLOAKROOM_"
	// APIKeyEnv is the variable with the API key of those who call a running sidecar; it is no setting.
	APIKeyEnv = envPrefix + "API_KEY"
)

// delim splits no name: names have no slashes.
const delim = "/"

// Source is what the configuration of a subcommand is read from.
type Source struct {
	Subcommand string // "serve"
	Args       []string
	Env        []string // as os.Environ has it
	// Pipes is how files are read that are read once.
	Pipes followed.Pipes
}

// Load reads the configuration: flags over environment over file over
// defaults. Every value that is given is checked, also one that another source
// overrides. All faults come in one *usage.Error, with the config as far as it
// is good; pflag.ErrHelp means that help was asked for, followed.ErrInterrupted that ctx
// has ended. own are settings that only this subcommand has.
func Load(ctx context.Context, from Source, own ...Setting) (*Config, error) {
	c := &Config{values: map[string]string{}, pipes: from.Pipes}
	table := append(settings(c), own...)
	defaults(table, from.Subcommand)
	flags := flagSet(table)
	var wrong usage.Faults
	unknown, err := usage.ParseFlags(flags, from.Args, &wrong)
	if err != nil {
		return nil, err
	}
	fromEnv := readEnv(table, from.Env, c)
	fromFile := koanf.New(delim)
	readable := true
	if path, source := configPath(flags, fromEnv); path != "" {
		readable = readFile(path, source, c.pipes, table, fromFile, &wrong)
	}

	all := koanf.New(delim)
	layers := []error{
		all.Merge(fromFile),
		all.Merge(fromEnv),
		all.Load(posflag.ProviderWithValue(flags, delim, all, func(k, v string) (string, any) { return k, v }), nil),
	}
	if err := errors.Join(layers...); err != nil {
		return nil, fmt.Errorf("BUG: merging the configuration: %w", err)
	}
	for _, s := range table {
		if !parse(s, flags, fromEnv, fromFile, &wrong) {
			c.bad = append(c.bad, s.Name)
		}
		c.values[s.Name] = all.String(s.Name)
	}
	if from.Subcommand == "dev" {
		c.Listen.Movable = movable(table, c.values)
	}
	if from.Subcommand == "serve" || from.Subcommand == "dev" {
		c.inherit(from.Env, table, &wrong)
	}
	c.misspelt = unknown
	if readable { // else what is missing may stand in the file
		crossCheck(c, from.Subcommand, &wrong)
	}
	if ctx.Err() != nil {
		return nil, followed.ErrInterrupted
	}
	return c, wrong.Err()
}

// movable returns the settings of listeners that have their default address: dev
// takes another port for them where that is taken.
func movable(table []Setting, values map[string]string) (names []string) {
	for _, s := range table {
		if (s.Name == "http-addr" || s.Name == "admin-addr") && values[s.Name] == s.def {
			names = append(names, s.Name)
		}
	}
	return names
}

// defaults puts the defaults of dev into the table.
func defaults(table []Setting, subcommand string) {
	if subcommand != "dev" {
		return
	}
	for i := range table {
		if d, ok := devDefaults[table[i].Name]; ok {
			table[i].def = d
		}
	}
}

// parse parses the default of s and the value from every source that gives
// one, the effective one last, so that it is the one that is kept. It says
// whether all of them are good.
func parse(s Setting, flags *pflag.FlagSet, fromEnv, fromFile *koanf.Koanf, wrong *usage.Faults) bool {
	good := s.value.set(s.def)
	try := func(source, v string) {
		switch {
		case s.value.set(v):
			return
		case s.value.secret:
			wrong.Addf("%s is not one of %s", source, s.value.allowed)
		default:
			wrong.Addf("%s: %s is not %s", source, usage.Quote(v), s.value.allowed)
		}
		good = false
	}
	if fromFile.Exists(s.Name) {
		try("file: "+s.Name, fromFile.String(s.Name))
	}
	if fromEnv.Exists(s.Name) {
		try("environment: "+EnvName(s.Name), fromEnv.String(s.Name))
	}
	if f := flags.Lookup(s.Name); f.Changed {
		try("flag: --"+s.Name, f.Value.String())
	}
	return good
}

// EnvName is the environment variable of a setting.
func EnvName(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// readEnv returns the settings in the environment. An empty variable counts as
// not set. An unknown one is a warning, unless Kubernetes injects its like for
// a service named cloakroom.
func readEnv(table []Setting, environ []string, c *Config) *koanf.Koanf {
	names := map[string]string{}
	for _, s := range table {
		if s.from != flagOnly {
			names[EnvName(s.Name)] = s.Name
		}
	}
	k := koanf.New(delim)
	// The provider of the environment reports no errors.
	_ = k.Load(env.Provider(delim, env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, v string) (string, any) {
			setting, ok := names[name]
			switch {
			case !ok && name != APIKeyEnv && !kubernetes(name):
				c.Warnings = append(c.Warnings, "unknown environment variable "+name+" is ignored")
			case v == "":
				return "", nil
			}
			return setting, v
		},
	}), nil)
	slices.Sort(c.Warnings)
	return k
}

// kubernetes says whether name has the shape of the variables that Kubernetes
// sets in every pod for a service called cloakroom, or cloakroom-something.
func kubernetes(name string) bool {
	rest := name[len(envPrefix)-1:]
	return strings.HasSuffix(rest, "_PORT") || strings.Contains(rest, "_PORT_") || strings.Contains(rest, "_SERVICE_")
}

// configPath returns the file to read and where it was named.
func configPath(flags *pflag.FlagSet, fromEnv *koanf.Koanf) (path, source string) {
	if f := flags.Lookup("config"); f.Changed {
		return f.Value.String(), "flag: --config"
	}
	return fromEnv.String("config"), "environment: " + EnvName("config")
}
