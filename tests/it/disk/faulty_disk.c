/* A disk that fails on demand, put under the real program by LD_PRELOAD. It touches only the ledger's
   own files. While the file $FAULTY_DISK/full exists every write fails with ENOSPC; while
   $FAULTY_DISK/broken exists every sync fails with EIO. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_ledger(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, "/ledger.sqlite3") != NULL;
}

static int wanted(const char *fault, int fd) {
  const char *folder = getenv("FAULTY_DISK");
  char path[4096];
  if (folder == NULL) return 0;
  snprintf(path, sizeof path, "%s/%s", folder, fault);
  return access(path, F_OK) == 0 && is_ledger(fd);
}

#define WRITE(name, offset_type)                                                        \
  ssize_t name(int fd, const void *bytes, size_t count, offset_type offset) {           \
    ssize_t (*next)(int, const void *, size_t, offset_type) = dlsym(RTLD_NEXT, #name);  \
    if (wanted("full", fd)) { errno = ENOSPC; return -1; }                              \
    return next(fd, bytes, count, offset);                                              \
  }

WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)

ssize_t write(int fd, const void *bytes, size_t count) {
  ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  if (wanted("full", fd)) { errno = ENOSPC; return -1; }
  return next(fd, bytes, count);
}

#define SYNC(name)                                        \
  int name(int fd) {                                      \
    int (*next)(int) = dlsym(RTLD_NEXT, #name);           \
    if (wanted("broken", fd)) { errno = EIO; return -1; } \
    return next(fd);                                      \
  }

SYNC(fsync)
SYNC(fdatasync)
