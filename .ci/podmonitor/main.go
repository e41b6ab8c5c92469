// Command podmonitor decodes PodMonitors strictly into the types of the Prometheus operator. .ci/deploy-check runs it
// as a module of its own, so that those types are not in go.mod.
package main

import (
	"fmt"
	"os"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err == nil {
			err = yaml.UnmarshalStrict(text, new(monitoringv1.PodMonitor))
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			os.Exit(1)
		}
		fmt.Printf("%s...OK\n", path)
	}
}
