package document

import (
	"errors"
	"io"
	"io/fs"
)

// File reads a regular file, and no more of it than shows that it has more than most bytes. It is
// looked at before it is opened: opening a pipe waits for somebody to write into it.
func File(fsys fs.FS, name string, most int) ([]byte, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(most)+1))
}
