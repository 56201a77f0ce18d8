// Sockets that never block for ever: every call has a moment until which it waits. IPv6 and IPv4:
// a listener takes both where the host can, else IPv4 alone.
#define _GNU_SOURCE
#include "runtime/clock.h"
#include "runtime/wire.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// --- places --------------------------------------------------------------------------------------

static socklen_t size_of(const nmrt_place *place)
{
    return place->at.ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                          : sizeof(struct sockaddr_in6);
}

void nmrt_place_set_port(nmrt_place *place, int port)
{
    if (place->at.ss_family == AF_INET)
        ((struct sockaddr_in *)&place->at)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)&place->at)->sin6_port = htons((uint16_t)port);
}

int nmrt_place_port(const nmrt_place *place)
{
    return ntohs(place->at.ss_family == AF_INET
                     ? ((const struct sockaddr_in *)&place->at)->sin_port
                     : ((const struct sockaddr_in6 *)&place->at)->sin6_port);
}

bool nmrt_place_is_loopback(const nmrt_place *place)
{
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&place->at;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&place->at;
    if (place->at.ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr) ||
           (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr) && v6->sin6_addr.s6_addr[12] == 127);
}

nmrt_status nmrt_socket_resolve(const char *host, int port, nmrt_place *place, int most, int *n,
                                nmrt_error *e)
{
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *list;
    snprintf(service, sizeof service, "%d", port);
    int failure = getaddrinfo(host, service, &hints, &list);
    if (failure)
        return nmrt_fail(e, NMRT_WORLD, "cannot find the host '%s' of rank 0: %s", host,
                         gai_strerror(failure));
    *n = 0;
    for (const struct addrinfo *a = list; a && *n < most; a = a->ai_next)
        if (a->ai_addrlen <= sizeof place->at)
            memcpy(&place[(*n)++].at, a->ai_addr, a->ai_addrlen);
    freeaddrinfo(list);
    return NMRT_OK;
}

// --- listening -----------------------------------------------------------------------------------

static int bind_to(int family, int port)
{
    nmrt_place any = {.at = {.ss_family = (sa_family_t)family}}; // zeros are any address
    const int one = 1, zero = 0;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    nmrt_place_set_port(&any, port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); // over connections that still close
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (bind(fd, (struct sockaddr *)&any.at, size_of(&any)) == 0 && listen(fd, SOMAXCONN) == 0)
        return fd;
    int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

nmrt_status nmrt_socket_listen(int port, int *fd, nmrt_error *e)
{
    *fd = bind_to(AF_INET6, port);
    if (*fd < 0 && errno != EADDRINUSE)
        *fd = bind_to(AF_INET, port);
    if (*fd >= 0)
        return NMRT_OK;
    if (errno == EADDRINUSE)
        return nmrt_fail(e, NMRT_WORLD,
                         "port %d is in use on the host of rank 0: choose another MASTER_PORT",
                         port);
    return nmrt_fail_errno(e, "cannot listen on port %d", port);
}

int nmrt_socket_port(int fd)
{
    nmrt_place self = {0};
    socklen_t n = sizeof self.at;
    if (getsockname(fd, (struct sockaddr *)&self.at, &n))
        return 0;
    return nmrt_place_port(&self);
}

// --- waiting -------------------------------------------------------------------------------------

// False with ETIMEDOUT where nothing happened until then.
static bool wait_for(int fd, short events, double until)
{
    for (;;) {
        double left = until - nmrt_seconds();
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        if (n == 0 && left <= 0) {
            errno = ETIMEDOUT;
            return false;
        }
    }
}

static int prepare(int fd)
{
    const int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static bool finish_connect(int fd, double until)
{
    int failure = 0;
    socklen_t n = sizeof failure;
    if (!wait_for(fd, POLLOUT, until))
        return false;
    getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &n);
    errno = failure;
    return failure == 0;
}

int nmrt_socket_connect(const nmrt_place *place, double until)
{
    int fd = socket(place->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int done = connect(fd, (const struct sockaddr *)&place->at, size_of(place));
    if (done == 0 || (errno == EINPROGRESS && finish_connect(fd, until)))
        return prepare(fd);
    int failure = errno;
    close(fd);
    errno = failure;
    return -1;
}

int nmrt_socket_accept(int listener, nmrt_place *from, double until)
{
    socklen_t n = sizeof from->at;
    if (!wait_for(listener, POLLIN, until))
        return -1;
    int fd = accept4(listener, (struct sockaddr *)&from->at, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return fd < 0 ? -1 : prepare(fd);
}

// --- bytes ---------------------------------------------------------------------------------------

static bool may_come(void) { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

bool nmrt_socket_send(int fd, const void *at, size_t n, double until)
{
    const char *from = at;
    while (n) {
        ssize_t k = send(fd, from, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (k < 0 && (!may_come() || !wait_for(fd, POLLOUT, until)))
            return false;
        from += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return true;
}

bool nmrt_socket_recv(int fd, void *at, size_t n, double until)
{
    char *to = at;
    while (n) {
        ssize_t k = recv(fd, to, n, MSG_DONTWAIT);
        if (k == 0)
            errno = ECONNRESET;
        if (k == 0 || (k < 0 && (!may_come() || !wait_for(fd, POLLIN, until))))
            return false;
        to += k > 0 ? k : 0;
        n -= k > 0 ? (size_t)k : 0;
    }
    return true;
}
