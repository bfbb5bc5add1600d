package cluster

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
)

// image is a directory in memory, of which copies are written.
type image []imageFile

type imageFile struct {
	name string // below the directory, which is "."
	mode fs.FileMode
	size int64
	data []byte // without the zeros at its end, of which the files of a database have many
}

func readImage(dir string) (image, error) {
	var files image
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		f := imageFile{mode: info.Mode(), size: info.Size()}
		if f.name, err = filepath.Rel(dir, path); err != nil {
			return err
		}
		if !d.IsDir() {
			if f.data, err = os.ReadFile(path); err != nil {
				return err
			}
			f.data = bytes.Clone(bytes.TrimRight(f.data, "\x00"))
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// write fills a directory, and makes it where it is missing.
func (i image) write(dir string) error {
	for _, f := range i {
		if err := f.write(filepath.Join(dir, f.name)); err != nil {
			return err
		}
	}
	return nil
}

func (f *imageFile) write(path string) error {
	if f.mode.IsDir() {
		return os.MkdirAll(path, f.mode.Perm())
	}
	if err := os.WriteFile(path, f.data, f.mode.Perm()); err != nil {
		return err
	}
	return os.Truncate(path, f.size)
}
