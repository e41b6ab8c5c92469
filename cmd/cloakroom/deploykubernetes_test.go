package main

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-dev/cloakroom/internal/listen"
	"github.com/cloakroom-dev/cloakroom/internal/readiness"
	"github.com/cloakroom-dev/cloakroom/internal/testfile"
)

// The parts of the manifests that these tests look at; `make deploy-check` holds the whole against the schemas.

type podPort struct {
	Name          string `yaml:"name"`
	ContainerPort int    `yaml:"containerPort"`
}

type probe struct {
	HTTPGet struct {
		Path string `yaml:"path"`
		Port string `yaml:"port"`
	} `yaml:"httpGet"`
	TimeoutSeconds int `yaml:"timeoutSeconds"`
}

type container struct {
	Name, Image   string
	RestartPolicy string `yaml:"restartPolicy"`
	Args          []string
	Env           []struct {
		Name, Value string
		ValueFrom   struct {
			SecretKeyRef struct{ Name, Key string } `yaml:"secretKeyRef"`
		} `yaml:"valueFrom"`
	}
	Ports          []podPort
	StartupProbe   *probe `yaml:"startupProbe"`
	LivenessProbe  *probe `yaml:"livenessProbe"`
	ReadinessProbe *probe `yaml:"readinessProbe"`
	Lifecycle      struct {
		PreStop struct {
			Sleep struct{ Seconds int }
		} `yaml:"preStop"`
	}
	Resources       struct{ Requests, Limits map[string]string }
	SecurityContext struct {
		AllowPrivilegeEscalation *bool                   `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool                    `yaml:"readOnlyRootFilesystem"`
		RunAsUser                int                     `yaml:"runAsUser"`
		Capabilities             struct{ Drop []string } `yaml:"capabilities"`
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		Name string
	} `yaml:"volumeMounts"`
}

type podSpec struct {
	AutomountServiceAccountToken  *bool `yaml:"automountServiceAccountToken"`
	TerminationGracePeriodSeconds int   `yaml:"terminationGracePeriodSeconds"`
	SecurityContext               struct {
		RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
		RunAsUser      int                   `yaml:"runAsUser"`
		FSGroup        int                   `yaml:"fsGroup"`
		SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	InitContainers []container `yaml:"initContainers"`
	Containers     []container
	Volumes        []map[string]any
}

type manifest struct {
	Kind     string
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	// Of a kustomization.
	Resources          []string
	ConfigMapGenerator []struct {
		Name  string
		Files []string
	} `yaml:"configMapGenerator"`
	Spec struct {
		Selector any // of a Service the labels, of the others a mapping with matchLabels
		Template struct {
			Metadata struct{ Labels map[string]string }
			Spec     podSpec
		}
		Ports []struct {
			Name       string
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
		PodSelector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		} `yaml:"podSelector"`
		Ingress             []struct{ Ports []struct{ Port string } }
		PodMetricsEndpoints []struct{ Port, Path string } `yaml:"podMetricsEndpoints"`
	}
}

// variants are the two ways, with the container that runs cloakroom.
func variants(t *testing.T, f func(dir string, all []manifest, pod podSpec, labels map[string]string, c container)) {
	t.Helper()
	for _, name := range []string{"service", "sidecar"} {
		dir := deployments + "kubernetes/" + name + "/"
		kustomization := documents[manifest](t, dir+"kustomization.yaml")[0]
		all := []manifest{kustomization}
		for _, file := range append(kustomization.Resources, "podmonitor.yaml") {
			all = append(all, documents[manifest](t, dir+file)...)
		}
		i := slices.IndexFunc(all, func(m manifest) bool { return m.Kind == "Deployment" })
		if i < 0 {
			t.Fatalf("%s has no Deployment", dir)
		}
		pod := all[i].Spec.Template.Spec
		each := slices.Concat(pod.InitContainers, pod.Containers)
		j := slices.IndexFunc(each, func(c container) bool { return c.Image == "cloakroom" })
		if j < 0 {
			t.Fatalf("%s does not run cloakroom", dir)
		}
		f(dir, all, pod, all[i].Spec.Template.Metadata.Labels, each[j])
	}
}

func TestKubernetesRunsTheProgram(t *testing.T) {
	base, _ := image(t)
	variants(t, func(dir string, _ []manifest, pod podSpec, _ map[string]string, c container) {
		if c.Args[0] != "serve" {
			t.Fatalf("%s runs %s", dir, c.Args)
		}
		env := slices.Clone(base)
		for _, e := range c.Env {
			if e.ValueFrom.SecretKeyRef.Key == "redis-url" {
				e.Value = "redis://:p@redis:6379/0"
			}
			env = append(env, e.Name+"="+e.Value)
		}
		stop := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second
		for _, one := range slices.Concat(pod.InitContainers, pod.Containers) {
			stop -= time.Duration(one.Lifecycle.PreStop.Sleep.Seconds) * time.Second
		}
		got := deployed{
			name: dir, args: c.Args[1:], env: env, stop: stop,
			files: map[string]string{
				"/etc/cloakroom/config/cloakroom.yaml": readDoc(t, dir+"cloakroom.yaml"),
				"/etc/cloakroom/keys/keys.yaml":        testfile.OneKey,
			},
		}.effective(t)
		if got.API.ShutdownIdle < time.Second {
			t.Errorf("%s: gateways keep connections, which end after %v", dir, got.API.ShutdownIdle)
		}
		fits(t, dir, got, env, c.Resources.Limits["memory"])

		ports := map[string]int{}
		for _, p := range c.Ports {
			ports[p.Name] = p.ContainerPort
		}
		want := map[string]string{"http": got.Listen.HTTP, "admin": got.Listen.Admin}
		if !strings.HasPrefix(got.Value("verify-addr"), "unix:") {
			want["verify"] = got.Value("verify-addr")
		}
		for name, addr := range want {
			if listen.Loopback(addr) || port(t, addr) != strconv.Itoa(ports[name]) {
				t.Errorf("%s: %s listens on %s, the port is %d", dir, name, addr, ports[name])
			}
		}
		if len(ports) != len(want) {
			t.Errorf("%s: ports %v, listeners %v", dir, ports, want)
		}
		if got.Pprof {
			t.Errorf("%s: pprof is open to the cluster", dir)
		}
		for kind, p := range map[string]*probe{"startup": c.StartupProbe, "liveness": c.LivenessProbe, "readiness": c.ReadinessProbe} {
			if p == nil || p.HTTPGet.Port != "admin" || p.HTTPGet.Path != "/livez" && p.HTTPGet.Path != "/readyz" {
				t.Errorf("%s: the %s probe is %+v", dir, kind, p)
			} else if p.HTTPGet.Path == "/readyz" && time.Duration(p.TimeoutSeconds)*time.Second <= readiness.PingTimeout {
				t.Errorf("%s: the %s probe gives up before /readyz answers", dir, kind)
			}
		}
		if c.LivenessProbe.HTTPGet.Path != "/livez" {
			t.Errorf("%s: Redis away would restart it", dir)
		}
	})
}

// What belongs together in the manifests has the same names.
func TestKubernetesNamesMeet(t *testing.T) {
	variants(t, func(dir string, all []manifest, pod podSpec, labels map[string]string, _ container) {
		ports := []string{}
		volumes := map[string]bool{}
		configMaps := map[string]string{}
		for _, v := range pod.Volumes {
			volumes[v["name"].(string)] = false
			if from, ok := v["configMap"].(map[string]any); ok {
				configMaps[from["name"].(string)] = ""
			}
			if from, ok := v["secret"].(map[string]any); ok && from["secretName"] != "cloakroom" {
				t.Errorf("%s: Secret %v", dir, from["secretName"])
			}
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			for _, p := range c.Ports {
				ports = append(ports, p.Name)
			}
			for _, m := range c.VolumeMounts {
				if _, ok := volumes[m.Name]; !ok {
					t.Errorf("%s: there is no volume %s", dir, m.Name)
				}
				volumes[m.Name] = true
			}
			for _, e := range c.Env {
				if ref := e.ValueFrom.SecretKeyRef; e.Value == "" && (ref.Name != "cloakroom" || ref.Key != "redis-url") {
					t.Errorf("%s: %s comes from %+v", dir, e.Name, ref)
				}
			}
		}
		for name, mounted := range volumes {
			if !mounted {
				t.Errorf("%s: nobody mounts %s", dir, name)
			}
		}
		has := func(what, port string) {
			t.Helper()
			if !slices.Contains(ports, port) {
				t.Errorf("%s: %s names the port %q, the pod has %v", dir, what, port, ports)
			}
		}
		picks := func(what string, selector any) {
			t.Helper()
			m, _ := selector.(map[string]any)
			if inner, ok := m["matchLabels"].(map[string]any); ok {
				m = inner
			}
			for k, v := range m {
				if labels[k] != v {
					t.Errorf("%s: %s selects %s=%v, the pod has %q", dir, what, k, v, labels[k])
				}
			}
			if len(m) == 0 {
				t.Errorf("%s: %s selects nothing", dir, what)
			}
		}
		kinds := map[string]int{}
		for _, m := range all {
			kinds[m.Kind]++
			for _, g := range m.ConfigMapGenerator {
				for _, file := range g.Files {
					if _, err := os.Stat(dir + file); err != nil {
						t.Error(err)
					}
				}
				delete(configMaps, g.Name)
			}
			switch m.Kind {
			case "Service":
				picks("a Service", m.Spec.Selector)
				for _, p := range m.Spec.Ports {
					has("a Service", p.TargetPort)
					if p.TargetPort == "admin" {
						t.Errorf("%s: a Service offers the admin listener", dir)
					}
				}
			case "Deployment", "PodDisruptionBudget":
				picks(m.Kind, m.Spec.Selector)
			case "PodMonitor":
				picks(m.Kind, m.Spec.Selector)
				for _, p := range m.Spec.PodMetricsEndpoints {
					if has(m.Kind, p.Port); p.Port != "admin" || p.Path != "/metrics" {
						t.Errorf("%s: it asks %+v", dir, p)
					}
				}
			case "NetworkPolicy":
				for k, v := range m.Spec.PodSelector.MatchLabels {
					if labels[k] != v {
						t.Errorf("%s: the NetworkPolicy is for %s=%s", dir, k, v)
					}
				}
				opened := map[string]bool{}
				for _, rule := range m.Spec.Ingress {
					for _, p := range rule.Ports {
						has(m.Kind, p.Port)
						opened[p.Port] = true
					}
				}
				if len(opened) != len(ports) {
					t.Errorf("%s: the ports are %v, and %v may be reached", dir, ports, slices.Sorted(maps.Keys(opened)))
				}
			}
		}
		if len(configMaps) > 0 {
			t.Errorf("%s: nobody makes %v", dir, configMaps)
		}
		for _, kind := range []string{"Namespace", "Service", "PodDisruptionBudget", "NetworkPolicy", "PodMonitor", "Kustomization"} {
			if kinds[kind] == 0 {
				t.Errorf("%s: there is no %s", dir, kind)
			}
		}
	})
}

// Every container may run in a namespace that enforces the restricted profile, and has a memory limit.
func TestKubernetesContainersAreLocked(t *testing.T) {
	variants(t, func(dir string, _ []manifest, pod podSpec, _ map[string]string, own container) {
		s := pod.SecurityContext
		if !s.RunAsNonRoot || s.SeccompProfile.Type != "RuntimeDefault" || pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
			t.Errorf("%s: %+v", dir, s)
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			l := c.SecurityContext
			if l.AllowPrivilegeEscalation == nil || *l.AllowPrivilegeEscalation || !l.ReadOnlyRootFilesystem || !slices.Equal(l.Capabilities.Drop, []string{"ALL"}) ||
				l.RunAsUser == 0 && s.RunAsUser == 0 {
				t.Errorf("%s: %s: %+v", dir, c.Name, l)
			}
			if c.Resources.Limits["memory"] == "" || c.Resources.Requests["cpu"] == "" {
				t.Errorf("%s: %s: %+v", dir, c.Name, c.Resources)
			}
		}
		if strings.HasSuffix(dir, "sidecar/") && (own.RestartPolicy != "Always" || len(pod.InitContainers) != 1 || s.FSGroup == 0) {
			t.Errorf("%s: it is no native sidecar", dir)
		}
	})
}

// The gateway beside the sidecar has the configuration that is tested, except for what it says itself.
func TestKubernetesGatewayIsTheExample(t *testing.T) {
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(deployments + name)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, ok := strings.Cut(string(text), "\n\n") // the comment that a file begins with
		if !ok {
			t.Fatalf("%s is one paragraph", name)
		}
		return rest
	}
	const healthz = "\n    location = /healthz {                   # the pod's readiness\n        return 204;\n    }\n"
	want := strings.NewReplacer("127.0.0.1:8081", "unix:/run/cloakroom/verify.sock", "127.0.0.1:3000", "application:8080").
		Replace(read("nginx/cloakroom.conf"))
	if got := strings.Replace(read("kubernetes/sidecar/cloakroom.conf"), healthz, "", 1); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
