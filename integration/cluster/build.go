package cluster

import (
	"fmt"
	"os/exec"
)

// Build builds programs of this module, named by their packages, into dir. It must be called from inside of the module.
func Build(dir, tags string, packages ...string) error {
	cmd := exec.Command("go", append([]string{"build", "-tags", tags, "-o", dir + "/"}, packages...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return nil
}
