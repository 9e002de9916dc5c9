// What a server could do if it wanted to: at its first sendfile it tries this and that, and says
// on stderr, a line each, by which error it was stopped; 0 means that nothing did. Where it tries
// it is in the environment.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *named(const char *variable) {
    const char *value = getenv(variable);
    return value ? value : "";
}

// A name in the directory that is served.
static const char *served(const char *name) {
    static char path[2][4096];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", named("PROBE_SERVED"), name);
    return path[turn];
}

static void say(const char *what, int answer) {
    fprintf(stderr, "probe: %s %d\n", what, answer < 0 ? errno : 0);
}

static void try_open(const char *what, const char *path, int flags) {
    int file = open(path, flags | O_CLOEXEC, 0600);
    say(what, file);
    if (file >= 0)
        close(file);
}

static void try_files(void) {
    try_open("read what is served", served("log"), O_RDONLY);
    try_open("list what is served", served("."), O_RDONLY | O_DIRECTORY);
    try_open("read outside", "/etc/passwd", O_RDONLY);
    try_open("list outside", "/etc", O_RDONLY | O_DIRECTORY);
    try_open("write a device", "/dev/null", O_WRONLY);
    try_open("write", served("log"), O_WRONLY);
    try_open("append", served("log"), O_WRONLY | O_APPEND);
    try_open("read and write", served("log"), O_RDWR);
    try_open("create", served("created"), O_WRONLY | O_CREAT | O_EXCL);
    try_open("make without a name", served("."), O_WRONLY | O_TMPFILE);
    say("truncate", truncate(served("truncated"), 0));
    say("remove", unlink(served("removed")));
    say("rename", rename(served("renamed"), served("renamed.1")));
    say("link", link(served("linked"), served("linked.1")));
    say("make a symbolic link", symlink("log", served("symlink")));
    say("make a directory", mkdir(served("made"), 0700));
    say("remove a directory", rmdir(served("emptied")));
    say("make a fifo", mkfifo(served("fifo"), 0600));
    say("remove beside the socket", unlink(named("PROBE_BESIDE_SOCKET")));
}

static void try_execute(void) {
    pid_t child = fork();
    if (child == 0) {
        execl("/bin/true", "true", NULL);
        _exit(errno);
    }
    int status = -1;
    waitpid(child, &status, 0);
    errno = WEXITSTATUS(status);
    say("execute", errno ? -1 : 0);
}

// A new socket for each: one that was refused may be bound all the same.
static void try_connect(const char *what, int type, const void *address, socklen_t length) {
    int end = socket(((const struct sockaddr *)address)->sa_family, type | SOCK_CLOEXEC, 0);
    say(what, connect(end, address, length));
    close(end);
}

static void try_bind(const char *what, const void *address, socklen_t length) {
    int end = socket(((const struct sockaddr *)address)->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    say(what, bind(end, address, length));
    close(end);
}

static void try_sockets(void) {
    struct sockaddr_in ip = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    try_bind("bind a port", &ip, sizeof ip);
    ip.sin_port = htons(atoi(named("PROBE_PORT")));
    try_connect("connect by TCP", SOCK_STREAM, &ip, sizeof ip);
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    snprintf(name.sun_path, sizeof name.sun_path, "%s", served("made.sock"));
    try_bind("make a socket", &name, sizeof name);
    memset(name.sun_path, 0, sizeof name.sun_path);
    const char *abstract = named("PROBE_ABSTRACT");
    snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "%s", abstract);
    socklen_t length = offsetof(struct sockaddr_un, sun_path) + 1 + strlen(abstract);
    try_connect("connect to an abstract socket", SOCK_STREAM, &name, length);
    say("signal its parent", kill(getppid(), 0));
}

ssize_t sendfile64(int out, int in, off64_t *offset, size_t count) {
    static ssize_t (*real)(int, int, off64_t *, size_t);
    if (!real) {
        real = dlsym(RTLD_NEXT, "sendfile64");
        try_files();
        try_execute();
        try_sockets();
        fprintf(stderr, "probe: done\n");
    }
    return real(out, in, offset, count);
}
