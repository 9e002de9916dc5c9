/* Runs a command under a filter of system calls: what families.h says of sockets, what answers.h says
 * of other calls, and OTHERS for the rest. */

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field)),
#define RETURN(answer) BPF_STMT(BPF_RET | BPF_K, (answer)),
#define IF_NOT_SKIP(value, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, (count)),
#define ANSWER(value, answer) IF_NOT_SKIP(value, 1) RETURN(answer)

static struct sock_filter instructions[] = {
    LOAD(nr)
    IF_NOT_SKIP(__NR_socket, 2 * FAMILIES + 2)
    LOAD(args[0])
#include "families.h"
    RETURN(SECCOMP_RET_ERRNO | EAFNOSUPPORT)
#include "answers.h"
    RETURN(OTHERS)
};

int main(int count, char **arguments)
{
    struct sock_fprog filter = {sizeof instructions / sizeof *instructions, instructions};
    if (count < 2 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) {
        perror("confine");
        return 1;
    }
    execvp(arguments[1], arguments + 1);
    perror(arguments[1]);
    return 1;
}
