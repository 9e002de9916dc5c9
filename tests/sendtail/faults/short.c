// A kernel that moves less than it was asked for, as it may at any time: sendfile and the
// positioned reads stop after one byte, or some, or everything, in a fixed order. Never after 0,
// which means the end. Says when the process ends how often it did.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/types.h>
#include <sys/uio.h>

static unsigned shortened_sends, shortened_reads;

static size_t shortened(size_t count, unsigned *times) {
    static unsigned state = 1;
    state = state * 1103515245 + 12345;
    unsigned random = state >> 8;
    size_t less = random % 4 == 0 ? count : random % 4 == 1 ? 1 : 1 + random % 5000;
    if (count == 0 || less >= count)
        return count;
    ++*times;
    return less;
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
    static ssize_t (*real)(int, int, off64_t *, size_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "sendfile64");
    return real(out, in, offset, shortened(count, &shortened_sends));
}

ssize_t pread64(int file, void *buffer, size_t count, off64_t offset) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    if (!real)
        real = dlsym(RTLD_NEXT, "pread64");
    return real(file, buffer, shortened(count, &shortened_reads), offset);
}

ssize_t preadv2(int file, const struct iovec *pieces, int count, off_t offset, int flags) {
    static ssize_t (*real)(int, const struct iovec *, int, off_t, int);
    if (!real)
        real = dlsym(RTLD_NEXT, "preadv2");
    struct iovec piece = *pieces;
    if (count == 1)
        piece.iov_len = shortened(piece.iov_len, &shortened_reads);
    return real(file, count == 1 ? &piece : pieces, count, offset, flags);
}

__attribute__((destructor)) static void say(void) {
    fprintf(stderr, "shortened: %u sends, %u reads\n", shortened_sends, shortened_reads);
}
