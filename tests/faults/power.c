/* Preloaded into a writer: puts down what it does to the files of one folder, in the order in which it is done.
 *
 * POWER_FOLDER is the folder, POWER_LOG the file that the records go to. Nothing is really synced: a sync is a record
 * like any other, and test_power.py decides what a disk that lost power would still hold.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum kind { WRITE = 1, TRUNCATE, SYNC, SYNC_FOLDER, UNLINK };

struct record { /* followed by the name and the bytes; 24 bytes without padding */
    int64_t offset;
    uint64_t length;
    uint32_t kind;
    uint32_t name_length;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static int records = -1;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_ftruncate)(int, off_t);
static int (*real_fsync)(int);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void start(void) {
    const char *path = getenv("POWER_LOG");
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    folder = getenv("POWER_FOLDER");
    if (path && folder)
        records = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* What is below the folder: the name in it, "" for the folder itself, NULL for anything else. */
static const char *name_in_folder(const char *path) {
    size_t length = records < 0 ? 0 : strlen(folder);
    if (!length || strncmp(path, folder, length) || (path[length] && path[length] != '/'))
        return NULL;
    return path[length] ? path + length + 1 : path + length;
}

static const char *name_of(int fd, char *path) {
    char link[64] = "/proc/self/fd/", digits[16];
    int at = sizeof digits - 1, number = fd;
    ssize_t length;
    digits[at] = 0;
    do
        digits[--at] = (char)('0' + number % 10);
    while (number /= 10);
    strcat(link, digits + at);
    length = fd < 0 ? -1 : readlink(link, path, PATH_MAX - 1);
    if (length < 0)
        return NULL;
    path[length] = 0;
    return name_in_folder(path);
}

static void put_all(const void *bytes, size_t length) {
    for (const char *at = bytes; length;) {
        ssize_t done = real_write(records, at, length);
        if (done <= 0)
            abort(); /* a log with a gap would prove nothing */
        at += done;
        length -= (size_t)done;
    }
}

static void put(enum kind kind, const char *name, off_t offset, const void *bytes, size_t length) {
    struct record record = {offset, length, kind, (uint32_t)strlen(name)};
    put_all(&record, sizeof record);
    put_all(name, record.name_length);
    put_all(bytes, length);
}

static ssize_t written(int fd, const void *bytes, size_t length, off_t offset, int at_offset) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    ssize_t done;
    if (!name)
        return at_offset ? real_pwrite(fd, bytes, length, offset) : real_write(fd, bytes, length);
    pthread_mutex_lock(&lock);
    done = at_offset ? real_pwrite(fd, bytes, length, offset) : real_write(fd, bytes, length);
    if (done > 0)
        put(WRITE, name, at_offset ? offset : lseek(fd, 0, SEEK_CUR) - done, bytes, (size_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

static int synced(int fd) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    if (!name)
        return real_fsync(fd);
    pthread_mutex_lock(&lock);
    put(*name ? SYNC : SYNC_FOLDER, name, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return 0;
}

static int truncated(int fd, off_t size) {
    char path[PATH_MAX];
    const char *name = name_of(fd, path);
    int failed;
    if (!name)
        return real_ftruncate(fd, size);
    pthread_mutex_lock(&lock);
    failed = real_ftruncate(fd, size);
    if (!failed)
        put(TRUNCATE, name, size, "", 0);
    pthread_mutex_unlock(&lock);
    return failed;
}

ssize_t write(int fd, const void *bytes, size_t length) { return written(fd, bytes, length, 0, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return written(fd, bytes, length, at, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return written(fd, bytes, length, at, 1); }
int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }
int ftruncate(int fd, off_t size) { return truncated(fd, size); }
int ftruncate64(int fd, off64_t size) { return truncated(fd, size); }

int unlink(const char *path) {
    const char *name = name_in_folder(path);
    int failed;
    if (!name)
        return real_unlink(path);
    pthread_mutex_lock(&lock);
    failed = real_unlink(path);
    if (!failed)
        put(UNLINK, name, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return failed;
}
