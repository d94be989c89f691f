//go:build linux || darwin

package store

import "syscall"

// freeSpace tells how many bytes a user may still write on the file system of dir.
func freeSpace(dir string) (free int64, known bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * s.Bsize, true
}
