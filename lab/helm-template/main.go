// Renders a Helm chart's templates as `helm template` does, with the template engine and the function library that helm itself
// is made of, for machines that have no helm. Of helm's own functions it has those that our chart uses; a template that uses
// another one fails.
//
// Takes the chart's folder and a file with {"release": {"name", "namespace"}, "values": {...}}, the values being complete;
// writes {"templates/NAME": "text", ...} to stdout.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"sigs.k8s.io/yaml"
)

type request struct {
	Release struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"release"`
	Values map[string]interface{} `json:"values"`
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: helm-template CHART REQUEST")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(folder string, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var asked request
	if err := json.Unmarshal(text, &asked); err != nil {
		return err
	}
	chart, err := chartOf(folder)
	if err != nil {
		return err
	}
	// missingkey=zero and the removal of "<no value>" are helm's: what is not set is empty.
	root := template.New("chart").Option("missingkey=zero")
	root.Funcs(functions(root))
	names, err := parseAll(root, folder)
	if err != nil {
		return err
	}
	rendered := map[string]string{}
	for _, name := range names {
		if strings.HasPrefix(filepath.Base(name), "_") {
			continue
		}
		var text bytes.Buffer
		data := map[string]interface{}{
			"Chart":    chart,
			"Release":  map[string]interface{}{"Name": asked.Release.Name, "Namespace": asked.Release.Namespace, "Service": "Helm"},
			"Template": map[string]interface{}{"Name": name},
			"Values":   asked.Values,
		}
		if err := root.ExecuteTemplate(&text, name, data); err != nil {
			return err
		}
		rendered[name] = strings.ReplaceAll(text.String(), "<no value>", "")
	}
	return json.NewEncoder(os.Stdout).Encode(rendered)
}

// The fields of Chart.yaml, by the names that templates use: apiVersion is .Chart.ApiVersion, and so on.
func chartOf(folder string) (map[string]interface{}, error) {
	text, err := os.ReadFile(filepath.Join(folder, "Chart.yaml"))
	if err != nil {
		return nil, err
	}
	fields := map[string]interface{}{}
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	chart := map[string]interface{}{}
	for name, value := range fields {
		chart[strings.ToUpper(name[:1])+name[1:]] = value
	}
	return chart, nil
}

func parseAll(root *template.Template, folder string) ([]string, error) {
	var names []string
	walk := func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		names = append(names, name)
		_, err = root.New(name).Parse(string(text))
		return err
	}
	err := filepath.WalkDir(filepath.Join(folder, "templates"), walk)
	return names, err
}

// sprig's functions, without the two that helm takes away, and helm's own.
func functions(root *template.Template) template.FuncMap {
	all := sprig.TxtFuncMap()
	delete(all, "env")
	delete(all, "expandenv")
	all["include"] = func(name string, data interface{}) (string, error) {
		var text bytes.Buffer
		err := root.ExecuteTemplate(&text, name, data)
		return text.String(), err
	}
	all["toYaml"] = func(value interface{}) (string, error) {
		text, err := yaml.Marshal(value)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	return all
}
