//go:build linux || darwin

package store

import "syscall"

// freeSpace tells how many bytes a user may still write on the file system of dir.
func freeSpace(dir string) (free int64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
<<<<<<< HEAD
	return int64(s.Bavail) * s.Bsize, true
=======
	return int64(s.Bavail) * int64(s.Bsize), true //nolint:unconvert // another type on darwin
>>>>>>> 5f72275 (Lint of the disk's suites)
}
