package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFile bounds what is read as a configuration file: more is a mistake.
const maxFile = 1 << 20

func (s *Set) readFile(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("flag -config: %q does not exist, want a YAML file whose keys are the names of the flags, or leave -config and NEXUS_CONFIG out", path)
	}
	if err != nil {
		return fmt.Errorf("flag -config: %w", err)
	}
	if info.IsDir() || info.Size() > maxFile {
		return fmt.Errorf("flag -config: %q is not a configuration file of at most %d bytes", path, maxFile)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("flag -config: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return fmt.Errorf("%s: %s", path, strings.ReplaceAll(err.Error(), "\n", " "))
	}
	if len(doc.Content) == 0 {
		return nil // Nothing but comments.
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return fmt.Errorf("%s: line %d: want lines such as grpcPort: 9121", path, root.Line)
	}
	known := make(map[string]*entry)
	for _, e := range s.entries() {
		known[e.Name] = e
		if e.Alias != "" {
			known[e.Alias] = e
		}
	}
	seen := make(map[*entry]int)
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, val := root.Content[i], root.Content[i+1]
		where := fmt.Sprintf("%s line %d", path, key.Line)
		e := known[key.Value]
		if e == nil {
			return fmt.Errorf("%s: unknown key %q%s", where, key.Value, s.suggest(key.Value))
		}
		if line, twice := seen[e]; twice {
			return fmt.Errorf("%s: %s is already set in line %d", where, e.Name, line)
		}
		seen[e] = key.Line
		text, ok := scalar(val)
		if !ok {
			return fmt.Errorf("%s: the value of %s is not text, a number, true, false or a list of those", where, e.Name)
		}
		if err := e.set(text, "from "+where); err != nil {
			return err
		}
	}
	return nil
}

// scalar returns a value of the file as a flag would have it.
func scalar(n *yaml.Node) (string, bool) {
	switch n.Kind {
	case yaml.AliasNode:
		return scalar(n.Alias)
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return "", true
		}
		return n.Value, true
	case yaml.SequenceNode:
		var items []string
		for _, item := range n.Content {
			if item.Kind != yaml.ScalarNode {
				return "", false
			}
			items = append(items, item.Value)
		}
		return strings.Join(items, ","), true
	}
	return "", false
}

// suggest finds the name that was probably meant.
func (s *Set) suggest(key string) string {
	plain := func(name string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(name)) }
	for _, e := range s.entries() {
		for _, name := range []string{e.Name, e.Alias} {
			if name != "" && plain(name) == plain(key) {
				return fmt.Sprintf(", want %q", e.Name)
			}
		}
	}
	return "; the keys are the names of the flags, which -h lists"
}
