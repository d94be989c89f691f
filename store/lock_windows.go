//go:build windows

package store

import (
	"os"
	"syscall"
)

// openLock opens the file so that others can read it but not open it for writing: on Windows
// the opening is the lock.
func openLock(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, syscall.FILE_SHARE_READ,
		nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	const sharingViolation = syscall.Errno(32)
	if err == sharingViolation {
		return nil, nil
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

func exclusive(f *os.File) (bool, error) { return f != nil, nil }

// syncDir does nothing: on Windows names are durable when the file is.
func syncDir(string) error { return nil }
