/*
 * The limit: what the kernel takes for the same work when the program is C. One thread, epoll, no library.
 *
 * usage: epoll FD kept|once
 *
 * FD is a listening socket. A "+PONG\r\n" goes back for each 'G' that comes, of which a PING has one however it is cut
 * (kept), or one for whatever comes first, and then the connection is closed (once). A client that does not read its
 * answers is cut off: there is nothing here that would hold them.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_SIZE = 4096, PONG_SIZE = 7, EVENTS = 512 };

static char pongs[REQUEST_SIZE * PONG_SIZE];

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int poller, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0)
        fail("epoll_ctl");
}

static void accept_all(int poller, int listener) {
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        watch(poller, fd);
    if (errno == EMFILE || errno == ENFILE)
        fail("accept4");
}

/* Whether the connection goes on. */
static int answer(int fd, int once) {
    char request[REQUEST_SIZE];
    ssize_t got = recv(fd, request, sizeof request, 0);
    size_t size = PONG_SIZE;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return 1;
    if (got <= 0)
        return 0;
    if (!once) {
        size = 0;
        for (ssize_t place = 0; place < got; place++)
            size += request[place] == 'G' ? PONG_SIZE : 0;
    }
    if (size > 0 && send(fd, pongs, size, MSG_NOSIGNAL) != (ssize_t)size)
        return 0;
    return !once;
}

int main(int count, char **arguments) {
    if (count != 3 || (strcmp(arguments[2], "kept") != 0 && strcmp(arguments[2], "once") != 0)) {
        fprintf(stderr, "usage: %s FD kept|once\n", arguments[0]);
        return 2;
    }
    int listener = atoi(arguments[1]), once = strcmp(arguments[2], "once") == 0;
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event events[EVENTS];

    if (poller < 0)
        fail("epoll_create1");
    for (size_t place = 0; place < sizeof pongs; place += PONG_SIZE)
        memcpy(pongs + place, "+PONG\r\n", PONG_SIZE);
    watch(poller, listener);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR)
            fail("epoll_wait");
        for (int number = 0; number < ready; number++) {
            int fd = events[number].data.fd;
            if (fd == listener)
                accept_all(poller, listener);
            else if (!answer(fd, once))
                close(fd);
        }
    }
}
