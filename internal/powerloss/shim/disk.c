// A disk that can be watched and broken, beneath one program: loaded with LD_PRELOAD it stands
// between SQLite and the C library for the files whose paths begin with PLAYBOOKD_DISK_PREFIX and
// for their directory.
//
// Every change is appended to the log PLAYBOOKD_DISK_LOG with its bytes, in the order in which the
// disk saw it. The faults are read from PLAYBOOKD_DISK_CONTROL, which the test maps too: what it
// writes there holds from the next call on. Both layouts are those of trace.go and fault.go.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { OP_OPEN = 1, OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_UNLINK, OP_SYNCDIR, OP_START };
enum { KIND_NONE = 0, KIND_DB = 1, KIND_WAL = 2, KIND_SHM = 4, KIND_OTHER = 8, KIND_DIR = 16 };
enum { ON_WRITE, ON_SYNC, ON_READ, ON_TRUNCATE, ON_OPEN, CALLS };

struct fault {
  int32_t kinds;  // of file
  int32_t error;  // errno, 0: none
  int32_t skip;   // so many calls go well first
  int32_t times;  // then so many fail; -1: all
  int32_t delay;  // microseconds, of every call
  int32_t seen, hit;
  int32_t pad;
};
struct control {
  int64_t limited; // 0: there is room for all
  int64_t room;    // bytes by which files may still grow
  struct fault on[CALLS];
};
struct record {
  uint32_t magic, op;
  int64_t began, ended;
  uint64_t ino;
  int64_t offset;
  uint32_t created, path, data, pad;
};

#define MAX_FD 4096
static struct { int kind; uint64_t ino; } files[MAX_FD];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static const char *prefix;
static char dir[4096];
static size_t prefix_len;
static int log_fd = -1;
static struct control *control;

static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);
static ssize_t (*real_read)(int, void *, size_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_unlink)(const char *);

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void note(uint32_t op, int64_t began, uint64_t ino, int64_t offset, int created, const char *path, const void *data, size_t n) {
  if (log_fd < 0) return;
  struct record r = {0x4b534944, op, began, now(), ino, offset, (uint32_t)created, path ? (uint32_t)strlen(path) : 0, (uint32_t)n, 0};
  struct iovec parts[3] = {{&r, sizeof r}, {(void *)path, r.path}, {(void *)data, n}};
  if (writev(log_fd, parts, 3) != (ssize_t)(sizeof r + r.path + n)) abort(); // a log with holes proves nothing
}

__attribute__((constructor)) static void start(void) {
  real_open = dlsym(RTLD_NEXT, "open64");
  real_close = dlsym(RTLD_NEXT, "close");
  real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
  real_write = dlsym(RTLD_NEXT, "write");
  real_pread = dlsym(RTLD_NEXT, "pread64");
  real_read = dlsym(RTLD_NEXT, "read");
  real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
  real_fsync = dlsym(RTLD_NEXT, "fsync");
  real_unlink = dlsym(RTLD_NEXT, "unlink");
  prefix = getenv("PLAYBOOKD_DISK_PREFIX");
  if (!prefix) return;
  prefix_len = strlen(prefix);
  const char *slash = strrchr(prefix, '/');
  memcpy(dir, prefix, (size_t)(slash - prefix));
  const char *path = getenv("PLAYBOOKD_DISK_LOG");
  if (path) log_fd = real_open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  path = getenv("PLAYBOOKD_DISK_CONTROL");
  int fd = path ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd >= 0) {
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) control = NULL;
    real_close(fd);
  }
  note(OP_START, now(), 0, 0, 0, NULL, NULL, 0);
}

static int ends(const char *path, const char *tail) {
  size_t n = strlen(path), m = strlen(tail);
  return n >= m && strcmp(path + n - m, tail) == 0;
}

static int kind_of(const char *path) {
  if (!prefix || !path) return KIND_NONE;
  if (strcmp(path, dir) == 0) return KIND_DIR;
  if (strncmp(path, prefix, prefix_len) != 0) return KIND_NONE;
  if (strcmp(path, prefix) == 0) return KIND_DB;
  if (ends(path, "-shm")) return KIND_SHM;
  if (strncmp(path + prefix_len, "-wal", 5) == 0) return KIND_WAL;
  return KIND_OTHER;
}

static int kind_fd(int fd) { return fd >= 0 && fd < MAX_FD ? files[fd].kind : KIND_NONE; }

// broken waits as long as the disk is slow and says which error it gives, 0 for none.
static int broken(int call, int kind) {
  if (!control || !(control->on[call].kinds & kind)) return 0;
  struct fault *f = &control->on[call];
  if (f->delay > 0) usleep((useconds_t)f->delay);
  int error = 0;
  pthread_mutex_lock(&mutex);
  f->seen++;
  if (f->skip > 0) f->skip--;
  else if (f->times != 0 && f->error != 0) {
    if (f->times > 0) f->times--;
    f->hit++;
    error = f->error;
  }
  pthread_mutex_unlock(&mutex);
  return error;
}

static int opened(const char *path, int flags, mode_t mode) {
  int kind = kind_of(path);
  if (kind == KIND_NONE) return real_open(path, flags, mode);
  int error = broken(ON_OPEN, kind);
  if (error) { errno = error; return -1; }
  pthread_mutex_lock(&mutex);
  int64_t began = now();
  int existed = access(path, F_OK) == 0;
  int fd = real_open(path, flags, mode);
  if (fd >= 0 && fd < MAX_FD) {
    struct stat s;
    fstat(fd, &s);
    files[fd].kind = kind;
    files[fd].ino = s.st_ino;
    if (kind != KIND_DIR && kind != KIND_SHM) note(OP_OPEN, began, s.st_ino, s.st_size, !existed, path, NULL, 0);
  }
  pthread_mutex_unlock(&mutex);
  return fd;
}

int open(const char *path, int flags, ...) {
  va_list args; va_start(args, flags); mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0; va_end(args);
  return opened(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
  va_list args; va_start(args, flags); mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0; va_end(args);
  return opened(path, flags, mode);
}

int close(int fd) {
  if (kind_fd(fd) == KIND_NONE) return real_close(fd);
  pthread_mutex_lock(&mutex);
  files[fd].kind = KIND_NONE;
  int r = real_close(fd);
  pthread_mutex_unlock(&mutex);
  return r;
}

// fits says how many bytes of a write there is room for, and takes the room.
static size_t fits(int fd, size_t n, off_t offset) {
  struct stat s;
  if (!control || !control->limited || fstat(fd, &s) != 0) return n;
  int64_t grow = offset + (int64_t)n - s.st_size;
  if (grow <= 0) return n;
  if (grow > control->room) {
    int64_t over = grow - (control->room > 0 ? control->room : 0);
    n = over >= (int64_t)n ? 0 : n - (size_t)over;
    grow -= over;
  }
  control->room -= grow > 0 ? grow : 0;
  return n;
}

static ssize_t wrote(int fd, const void *data, size_t n, off_t offset, int at) {
  int kind = kind_fd(fd);
  if (kind == KIND_NONE) return at ? real_pwrite(fd, data, n, offset) : real_write(fd, data, n);
  int error = broken(ON_WRITE, kind);
  pthread_mutex_lock(&mutex);
  int64_t began = now();
  if (!at) offset = lseek(fd, 0, SEEK_CUR);
  size_t fit = fits(fd, n, offset);
  if (!error && n > 0 && fit == 0) error = ENOSPC;
  ssize_t r = -1;
  if (!error) {
    r = at ? real_pwrite(fd, data, fit, offset) : real_write(fd, data, fit);
    error = errno;
    if (r > 0 && kind != KIND_SHM) note(OP_WRITE, began, files[fd].ino, offset, 0, NULL, data, (size_t)r);
  }
  pthread_mutex_unlock(&mutex);
  errno = error;
  return r;
}
ssize_t pwrite(int fd, const void *d, size_t n, off_t o) { return wrote(fd, d, n, o, 1); }
ssize_t pwrite64(int fd, const void *d, size_t n, off_t o) { return wrote(fd, d, n, o, 1); }
ssize_t write(int fd, const void *d, size_t n) { return wrote(fd, d, n, 0, 0); }

static int broken_read(int fd) {
  int kind = kind_fd(fd);
  return kind == KIND_NONE ? 0 : broken(ON_READ, kind);
}
ssize_t pread(int fd, void *d, size_t n, off_t o) {
  int error = broken_read(fd);
  if (error) { errno = error; return -1; }
  return real_pread(fd, d, n, o);
}
ssize_t pread64(int fd, void *d, size_t n, off_t o) { return pread(fd, d, n, o); }
ssize_t read(int fd, void *d, size_t n) {
  int error = broken_read(fd);
  if (error) { errno = error; return -1; }
  return real_read(fd, d, n);
}

int ftruncate(int fd, off_t size) {
  int kind = kind_fd(fd);
  if (kind == KIND_NONE) return real_ftruncate(fd, size);
  int error = broken(ON_TRUNCATE, kind);
  if (error) { errno = error; return -1; }
  pthread_mutex_lock(&mutex);
  int64_t began = now();
  struct stat s;
  fstat(fd, &s);
  int r = real_ftruncate(fd, size);
  error = errno;
  if (r == 0) {
    if (control) control->room += s.st_size > size ? s.st_size - size : 0;
    if (kind != KIND_SHM) note(OP_TRUNCATE, began, files[fd].ino, size, 0, NULL, NULL, 0);
  }
  pthread_mutex_unlock(&mutex);
  errno = error;
  return r;
}
int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

int fsync(int fd) {
  int kind = kind_fd(fd);
  if (kind == KIND_NONE) return real_fsync(fd);
  int error = broken(ON_SYNC, kind);
  if (error) { errno = error; return -1; }
  pthread_mutex_lock(&mutex);
  int64_t began = now();
  int r = real_fsync(fd);
  error = errno;
  if (r == 0 && kind != KIND_SHM) note(kind == KIND_DIR ? OP_SYNCDIR : OP_SYNC, began, files[fd].ino, 0, 0, NULL, NULL, 0);
  pthread_mutex_unlock(&mutex);
  errno = error;
  return r;
}
int fdatasync(int fd) { return fsync(fd); }

int unlink(const char *path) {
  int kind = kind_of(path);
  if (kind == KIND_NONE) return real_unlink(path);
  pthread_mutex_lock(&mutex);
  int64_t began = now();
  struct stat s;
  int64_t size = stat(path, &s) == 0 ? s.st_size : 0;
  int r = real_unlink(path);
  int error = errno;
  if (r == 0) {
    if (control) control->room += size;
    if (kind != KIND_SHM) note(OP_UNLINK, began, 0, 0, 0, path, NULL, 0);
  }
  pthread_mutex_unlock(&mutex);
  errno = error;
  return r;
}
