/* Preloaded into a process: a disk that is full or broken for the files of one folder, as long as a file says so.
 *
 * DISK_FOLDER is the folder, DISK_STATE the file. The first letter in it says what is wrong: `f` no file can grow (a
 * longer write is done in part first, as on a real disk), `w` no write is done, `s` no sync is; without it all is well.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *folder, *state;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);

__attribute__((constructor)) static void start(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    folder = getenv("DISK_FOLDER");
    state = getenv("DISK_STATE");
}

/* What is wrong with the disk that this file is on; 0 for nothing. */
static char wrong_with(int fd) {
    char link[64] = "/proc/self/fd/", path[PATH_MAX], digits[16], found = 0;
    int at = sizeof digits - 1, number = fd, before = errno, open_state;
    ssize_t length;
    if (!folder || !state || fd < 0)
        return 0;
    digits[at] = 0;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    strcat(link, digits + at);
    length = readlink(link, path, sizeof path - 1);
    if (length > 0) {
        path[length] = 0;
        length = (ssize_t)strlen(folder);
        if (!strncmp(path, folder, (size_t)length) && (path[length] == '/' || !path[length])) {
            open_state = open(state, O_RDONLY | O_CLOEXEC);
            if (open_state >= 0) {
                if (read(open_state, &found, 1) != 1)
                    found = 0;
                close(open_state);
            }
        }
    }
    errno = before;
    return found;
}

/* How many bytes of a write are done; 0 for none, with errno set. */
static size_t possible(int fd, size_t length, off_t end) {
    struct stat found;
    char wrong = wrong_with(fd);
    if (wrong == 'w') {
        errno = EIO;
        return 0;
    }
    if (wrong != 'f' || fstat(fd, &found) || end <= found.st_size)
        return length;
    errno = ENOSPC;
    return length > 512 ? length / 2 : 0;
}

ssize_t write(int fd, const void *bytes, size_t length) {
    off_t at = lseek(fd, 0, SEEK_CUR); /* a pipe has none, and is on no disk */
    size_t part = at < 0 ? length : possible(fd, length, at + (off_t)length);
    return part || !length ? real_write(fd, bytes, part) : -1;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    size_t part = possible(fd, length, at + (off_t)length);
    return part || !length ? real_pwrite(fd, bytes, part, at) : -1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return pwrite(fd, bytes, length, at); }

int fsync(int fd) {
    if (wrong_with(fd) != 's')
        return real_fsync(fd);
    errno = EIO;
    return -1;
}

int fdatasync(int fd) {
    if (wrong_with(fd) != 's')
        return real_fdatasync(fd);
    errno = EIO;
    return -1;
}
