// Package openapi describes the HTTP API: as an OpenAPI document, and as a page of HTML that shows the same to people.
//
// The source of both is what is embedded from spec, which is written by hand, and examples.jsonl, which a test of httpapi
// takes from its golden files. Both are made when they are first asked for, so that a program that nobody asks does not
// pay for them. They have no secret and nothing of this process: they are the same for everybody.
package openapi

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"go.yaml.in/yaml/v3"
)

//go:embed spec
var spec embed.FS

// document is the whole document, with its examples, and as JSON.
var document = sync.OnceValues(func() (*tree, error) {
	t, err := merged(spec)
	if err != nil {
		return nil, err
	}
	return t, t.addExamples()
})

// JSON returns the document as JSON, in the order of its source. It is read-only. An error means that what is embedded is
// broken, which tests rule out.
var JSON = sync.OnceValues(func() ([]byte, error) {
	t, err := document()
	if err != nil {
		return nil, err
	}
	return t.appendJSON(nil)
})

// merged reads all files of the source into one tree, openapi.yaml first.
func merged(files fs.FS) (*tree, error) {
	names := []string{"spec/openapi.yaml"}
	err := fs.WalkDir(files, "spec", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && name != names[0] && path.Ext(name) == ".yaml" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	all := &tree{}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		var node yaml.Node
		if err := yaml.Unmarshal(text, &node); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		one, err := plain(&node)
		if err == nil {
			err = all.take(one)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return all, nil
}
