// Usage: cc -o follow follow.c && ./follow HOST PORT HEADER    (./follow localhost 4321 "-10 nginx/access.log")
#include <netdb.h>
#include <stdio.h>
#include <unistd.h>

int main(int count, char **arguments) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *address;
    if (count != 4 || getaddrinfo(arguments[1], arguments[2], &hints, &address)) return 2;
    int server = socket(address->ai_family, SOCK_STREAM, 0);
    while (connect(server, address->ai_addr, address->ai_addrlen)) {
        if (!(address = address->ai_next)) return perror(arguments[1]), 1;
        close(server), server = socket(address->ai_family, SOCK_STREAM, 0);
    }
    dprintf(server, "%s\n", arguments[3]);
    char data[65536], *from;
    for (ssize_t got, put; (got = read(server, from = data, sizeof data)) > 0;)
        for (; got > 0; from += put, got -= put)
            if ((put = write(1, from, got)) < 0) return perror("stdout"), 1;
    return 0;
}
