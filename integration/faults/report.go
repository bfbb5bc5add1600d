package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/anishathalye/porcupine"
)

// keep writes what a failed round leaves, into a directory of its own below dir: the plan and the problems, each history
// with the checker's view of it as a page, and the logs.
func (r *result) keep(dir string, l *lab) (string, error) {
	dir = filepath.Join(dir, fmt.Sprintf("seed-%d-round-%d", r.seed, r.round))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return dir, err
	}
	errs := []error{os.WriteFile(filepath.Join(dir, "round.txt"), []byte(r.String()+"\n"), 0o644)}
	for _, v := range r.verdicts {
		name := fmt.Sprintf("%s-%s.html", v.subject.key, v.result)
		errs = append(errs, porcupine.VisualizePath(models[v.subject.kind], v.info, filepath.Join(dir, name)))
	}
	for _, n := range l.Nodes {
		for _, p := range []string{n.Log, n.Backend.Log} {
			errs = append(errs, copyFile(filepath.Join(dir, n.Name+"-"+filepath.Base(p)), p))
		}
	}
	return dir, errors.Join(errs...)
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o644)
}
