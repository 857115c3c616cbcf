/* A /dev/dma_heap for machines whose kernel has none: LD_PRELOAD for libcamera's virtual camera.
 *
 * open() below /dev/dma_heap gives a memfd that stands for the heap; DMA_HEAP_IOCTL_ALLOC on it
 * gives a memfd of the size asked for; DMA_BUF_IOCTL_SYNC and _SET_NAME on that one do nothing.
 * A memfd is known by its name, as /proc/self/fd shows it.
 *
 * cc -shared -fPIC -O2 -o heap.so heap.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define HEAP "edge-heap"
#define BUFFER "edge-buffer"

struct allocation { uint64_t length; uint32_t fd, fd_flags; uint64_t heap_flags; };
enum { ALLOCATE = 'H' << 8 | 0, SYNC = 'b' << 8 | 0, SET_NAME = 'b' << 8 | 1 };

static int named(int fd, const char *name)
{
    char link[32], target[64], wanted[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, target, sizeof target - 1);
    if (length < 0) return 0;
    target[length] = 0;
    snprintf(wanted, sizeof wanted, "/memfd:%s ", name);
    return strncmp(target, wanted, strlen(wanted)) == 0;
}

#define OPEN(name)                                                                     \
    int name(const char *path, int flags, ...)                                         \
    {                                                                                  \
        static int (*next)(const char *, int, ...);                                    \
        va_list more;                                                                  \
        va_start(more, flags);                                                         \
        mode_t mode = va_arg(more, mode_t);                                            \
        va_end(more);                                                                  \
        if (strncmp(path, "/dev/dma_heap/", 14) == 0) return memfd_create(HEAP, MFD_CLOEXEC); \
        if (!next) next = dlsym(RTLD_NEXT, #name);                                     \
        return next(path, flags, mode);                                                \
    }
OPEN(open)
OPEN(open64)

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, ...);
    va_list more;
    va_start(more, request);
    void *argument = va_arg(more, void *);
    va_end(more);
    unsigned call = request & 0xffff;
    if (call == ALLOCATE && named(fd, HEAP)) {
        struct allocation *asked = argument;
        int buffer = memfd_create(BUFFER, MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (buffer < 0 || ftruncate(buffer, (off_t)asked->length) < 0) return -1;
        asked->fd = (uint32_t)buffer;
        return 0;
    }
    if ((call == SYNC || call == SET_NAME) && named(fd, BUFFER)) return 0;
    if (!next) next = dlsym(RTLD_NEXT, "ioctl");
    return next(fd, request, argument);
}
