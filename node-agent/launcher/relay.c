/* naru-launcher netns-connect <network namespace's path> <port>: joins standard input and output with a connection to the loopback
   address inside of a network namespace, so that port-forward reaches also what listens there only. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct direction {
  int from, to;
  size_t start, end;
  bool finished; /* `from` has no more */
  bool closed;   /* and `to` knows it, or takes no more */
  char bytes[64 * 1024];
};

static int connect_loopback(uint16_t port) {
  struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&v4, sizeof v4) == 0) return fd;
  int error = errno;
  if (fd >= 0) close(fd);
  fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&v6, sizeof v6) == 0) return fd;
  if (fd >= 0) close(fd);
  errno = error;
  return -1;
}

/* What it needed root for is behind it: a peer's bytes are moved by nobody. */
static int drop_privileges(void) {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || setgroups(0, NULL) != 0) return -1;
  if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0) return -1;
  return 0;
}

static void close_target(struct direction *way, int socket) {
  way->closed = true;
  if (way->to == socket) shutdown(socket, SHUT_WR);
  else close(way->to);
}

/* Reads when there is room, writes when there is something. */
static void move(struct direction *way, short ready_from, short ready_to, int socket) {
  if (ready_from != 0 && !way->finished && way->start == way->end) {
    ssize_t got = read(way->from, way->bytes, sizeof way->bytes);
    if (got > 0) {
      way->start = 0;
      way->end = (size_t)got;
      ready_to = POLLOUT;
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
      way->finished = true;
    }
  }
  if (ready_to != 0 && way->start < way->end && !way->closed) {
    ssize_t put = write(way->to, way->bytes + way->start, way->end - way->start);
    if (put > 0) {
      way->start += (size_t)put;
    } else if (put < 0 && errno != EAGAIN && errno != EINTR) {
      way->finished = way->closed = true;
    }
  }
  if (way->finished && way->start == way->end && !way->closed) close_target(way, socket);
}

static int relay(int socket) {
  static struct direction in, out;
  in = (struct direction){.from = 0, .to = socket};
  out = (struct direction){.from = socket, .to = 1};
  for (int fd = 0; fd < 2; fd++) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK);
  while (!out.closed) {
    bool in_full = in.start < in.end, out_full = out.start < out.end;
    struct pollfd files[] = {
        {.fd = in.finished || in_full ? -1 : 0, .events = POLLIN},
        {.fd = socket, .events = (short)((in_full && !in.closed ? POLLOUT : 0) | (out.finished || out_full ? 0 : POLLIN))},
        {.fd = out_full ? 1 : -1, .events = POLLOUT},
    };
    if (files[1].events == 0) files[1].fd = -1;
    if (poll(files, 3, -1) < 0 && errno != EINTR) return 1;
    short failed = files[1].revents & (POLLERR | POLLHUP);
    move(&in, files[0].revents, files[1].revents & (POLLOUT | POLLERR), socket);
    move(&out, (short)((files[1].revents & POLLIN) | failed), files[2].revents, socket);
  }
  return 0;
}

int relay_command(const char *namespace, const char *port_text) {
  signal(SIGPIPE, SIG_IGN);
  char *end;
  unsigned long port = strtoul(port_text, &end, 10);
  int fd = open(namespace, O_RDONLY | O_CLOEXEC);
  if (*end != 0 || port == 0 || port > 65535) {
    fprintf(stderr, "%s is no port\n", port_text);
    return 2;
  }
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
    fprintf(stderr, "enter network namespace %s: %s\n", namespace, strerror(errno));
    return 125;
  }
  close(fd);
  int socket = connect_loopback((uint16_t)port);
  if (socket < 0) {
    fprintf(stderr, "%s\n", errno == ECONNREFUSED ? "connection refused" : strerror(errno));
    return 1;
  }
  if (drop_privileges() != 0) {
    fprintf(stderr, "drop privileges: %s\n", strerror(errno));
    return 125;
  }
  return relay(socket);
}
