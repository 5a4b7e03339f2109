/* A layer over the C library that kills the process, or fails the call, at the n-th operation
 * that changes a file below a folder. Loaded with LD_PRELOAD; does nothing until it is armed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

enum { COUNT = 0, KILL = 1, TORN = 2, FAIL = 3, FAIL_READS = 4 };

static char folder[PATH_MAX];
static char part[256];
static int action = COUNT;
static int error_number = 0;
static long at = 0;
static long until = 0;
static int armed = 0;
static atomic_long counter;
static atomic_long failed;

/* `what_at` counts from 1; calls `what_at` to `what_until` fail; `what_part` must be in the name. */
void fault_arm(const char *what_folder, const char *what_part, int what_action, int what_error,
               long what_at, long what_until) {
    snprintf(folder, sizeof folder, "%s", what_folder);
    snprintf(part, sizeof part, "%s", what_part);
    action = what_action;
    error_number = what_error;
    at = what_at;
    until = what_until;
    atomic_store(&counter, 0);
    atomic_store(&failed, 0);
    armed = 1;
}

long fault_count(void) { return atomic_load(&counter); }
long fault_failed(void) { return atomic_load(&failed); }

static int is_ours(const char *path) {
    return armed && path && strncmp(path, folder, strlen(folder)) == 0 &&
           (!part[0] || strstr(path, part));
}

static int is_ours_fd(int fd) {
    char link[64], path[PATH_MAX];
    if (!armed) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_ours(path);
}

/* 0: go on; 1: this is the call to tear; -1: fail, errno is set. */
static int step(int is_write) {
    long n = atomic_fetch_add(&counter, 1) + 1;
    if (n < at) return 0;
    if (action == KILL && n == at) kill(getpid(), SIGKILL);
    if (action == TORN && n == at) {
        if (is_write) return 1;
        kill(getpid(), SIGKILL);
    }
    if (action == FAIL && n <= until) {
        atomic_fetch_add(&failed, 1);
        errno = error_number;
        return -1;
    }
    return 0;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define WRITE(name, count_of, call_whole, call_half) \
    if (action != FAIL_READS && is_ours_fd(fd)) { \
        int verdict = step(1); \
        if (verdict < 0) return -1; \
        if (verdict > 0) { \
            if (call_half < 0) {} \
            kill(getpid(), SIGKILL); \
        } \
    } \
    return call_whole

ssize_t write(int fd, const void *data, size_t count) {
    REAL(write);
    WRITE(write, count, real(fd, data, count), real(fd, data, count / 2));
}

ssize_t pwrite(int fd, const void *data, size_t count, off_t offset) {
    REAL(pwrite);
    WRITE(pwrite, count, real(fd, data, count, offset), real(fd, data, count / 2, offset));
}

ssize_t pwrite64(int fd, const void *data, size_t count, off64_t offset) {
    REAL(pwrite64);
    WRITE(pwrite64, count, real(fd, data, count, offset), real(fd, data, count / 2, offset));
}

#define READ(call) \
    if (action == FAIL_READS && is_ours_fd(fd)) { \
        long n = atomic_fetch_add(&counter, 1) + 1; \
        if (n >= at && n <= until) { \
            atomic_fetch_add(&failed, 1); \
            errno = error_number; \
            return -1; \
        } \
    } \
    return call

ssize_t read(int fd, void *data, size_t count) {
    REAL(read);
    READ(real(fd, data, count));
}

ssize_t pread64(int fd, void *data, size_t count, off64_t offset) {
    REAL(pread64);
    READ(real(fd, data, count, offset));
}

#define CHANGE(ours, call) \
    if (action != FAIL_READS && (ours) && step(0) < 0) return -1; \
    return call

int fsync(int fd) {
    REAL(fsync);
    CHANGE(is_ours_fd(fd), real(fd));
}

int fdatasync(int fd) {
    REAL(fdatasync);
    CHANGE(is_ours_fd(fd), real(fd));
}

int ftruncate(int fd, off_t length) {
    REAL(ftruncate);
    CHANGE(is_ours_fd(fd), real(fd, length));
}

int ftruncate64(int fd, off64_t length) {
    REAL(ftruncate64);
    CHANGE(is_ours_fd(fd), real(fd, length));
}

int rename(const char *from, const char *to) {
    REAL(rename);
    CHANGE(is_ours(from), real(from, to));
}

/* Space is made by deleting, so that a full disk does not refuse it. */
int unlink(const char *path) {
    REAL(unlink);
    CHANGE(action != FAIL && is_ours(path), real(path));
}

/* A full disk says that it is full to those who ask. */
static int says_full(void) {
    long n = atomic_load(&counter);
    return armed && action == FAIL && error_number == ENOSPC && n >= at && n <= until;
}

int statvfs(const char *path, struct statvfs *facts) {
    REAL(statvfs);
    int result = real(path, facts);
    if (result == 0 && says_full()) facts->f_bavail = facts->f_bfree = 0;
    return result;
}

int statvfs64(const char *path, struct statvfs64 *facts) {
    REAL(statvfs64);
    int result = real(path, facts);
    if (result == 0 && says_full()) facts->f_bavail = facts->f_bfree = 0;
    return result;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        mode_t mode = 0; \
        if (flags & (O_CREAT | __O_TMPFILE)) { \
            va_list rest; \
            va_start(rest, flags); \
            mode = va_arg(rest, mode_t); \
            va_end(rest); \
        } \
        CHANGE((flags & O_CREAT) && is_ours(path) && access(path, F_OK) != 0, \
               real(path, flags, mode)); \
    }

OPEN(open)
OPEN(open64)
