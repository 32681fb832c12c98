// The hello image's only program: answers HTTP with the pod's and the node's name, so that one sees who answers. /healthz says ok, /metrics
// counts the greetings for Prometheus.
// Environment: PORT (8080), POD_NAME, NODE_NAME, GREETING (a second line), SALUTE ("Hello"). Ends at once on SIGTERM, also as pid 1.
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { connections_max = 512, request_bytes_max = 8192, answer_bytes_max = 4096, events_max = 64 };

struct connection {
  int fd;  // -1: free
  size_t size;
  unsigned long used_at;
  char request[request_bytes_max];
};

static struct connection connections[connections_max];
static unsigned long greetings;
static unsigned long now;  // counts events, to find who has been silent longest
static int poller;

static const char *setting(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value == NULL || *value == 0 ? otherwise : value;
}

static _Noreturn void fail(const char *action) {
  fprintf(stderr, "hello: %s: %s\n", action, strerror(errno));
  exit(1);
}

static void watch(int fd, uint64_t what) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = what};
  if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event) != 0) fail("epoll_ctl");
}

// On all addresses of both families; of IPv4 alone where the kernel has no IPv6.
static int listen_on(unsigned port) {
  const int on = 1, off = 0;
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = in6addr_any};
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&any, sizeof any) == 0 && listen(fd, SOMAXCONN) == 0) return fd;
    close(fd);
  }
  fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) fail("socket");
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0 || listen(fd, SOMAXCONN) != 0) fail("listen");
  return fd;
}

static void hang_up(struct connection *connection) {
  close(connection->fd);
  connection->fd = -1;
}

// A free place; when there is none, that of the longest silent.
static struct connection *find_place(void) {
  struct connection *oldest = &connections[0];
  for (size_t i = 0; i < connections_max; i++) {
    if (connections[i].fd < 0) return &connections[i];
    if (connections[i].used_at < oldest->used_at) oldest = &connections[i];
  }
  hang_up(oldest);
  return oldest;
}

static void welcome(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  struct connection *connection = find_place();
  connection->fd = fd;
  connection->size = 0;
  connection->used_at = now;
  watch(fd, (uint64_t)(connection - connections));
}

// The answers are short: what does not fit into the socket's buffer means a client that does not read.
static bool answer(struct connection *connection, const char *status, const char *body) {
  char text[answer_bytes_max + 256];
  bool head = strncmp(connection->request, "HEAD ", 5) == 0;
  int size = snprintf(text, sizeof text, "HTTP/1.1 %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n\r\n%s",
                      status, strlen(body), head ? "" : body);
  return size > 0 && (size_t)size < sizeof text && send(connection->fd, text, (size_t)size, MSG_NOSIGNAL) == size;
}

static bool asks(const char *path, const char *name) {
  size_t size = strlen(name);
  return strncmp(path, name, size) == 0 && (path[size] == ' ' || path[size] == '?');
}

static bool greet(struct connection *connection) {
  const char *request = connection->request;
  if (strncmp(request, "GET ", 4) != 0 && strncmp(request, "HEAD ", 5) != 0) {
    answer(connection, "405 Method Not Allowed", "only GET and HEAD\n");
    return false;
  }
  const char *path = strchr(request, ' ') + 1;
  if (asks(path, "/healthz")) return answer(connection, "200 OK", "ok\n");
  char body[answer_bytes_max];
  if (asks(path, "/metrics")) {
    snprintf(body, sizeof body, "# HELP hello_greetings_total Greetings that were answered.\n# TYPE hello_greetings_total counter\nhello_greetings_total %lu\n",
             greetings);
    return answer(connection, "200 OK", body);
  }
  greetings++;
  const char *greeting = setting("GREETING", "");
  snprintf(body, sizeof body, "%.200s from pod %.300s on node %.300s\n%.2000s%s", setting("SALUTE", "Hello"),
           setting("POD_NAME", "unknown"), setting("NODE_NAME", "unknown"), greeting, *greeting == 0 ? "" : "\n");
  return answer(connection, "200 OK", body);
}

// Returns false when the connection is to end.
static bool serve(struct connection *connection) {
  connection->used_at = now;
  size_t room = request_bytes_max - 1 - connection->size;
  ssize_t got = recv(connection->fd, connection->request + connection->size, room, 0);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) return false;
  connection->size += (size_t)got;
  connection->request[connection->size] = 0;
  for (char *end; (end = strstr(connection->request, "\r\n\r\n")) != NULL;) {
    *end = 0;
    bool last = strcasestr(connection->request, "\r\nconnection: close") != NULL || strstr(connection->request, " HTTP/1.0") != NULL;
    if (!greet(connection) || last) return false;
    size_t done = (size_t)(end + 4 - connection->request);
    connection->size -= done;
    memmove(connection->request, end + 4, connection->size + 1);
  }
  if (connection->size < request_bytes_max - 1) return true;
  answer(connection, "431 Request Header Fields Too Large", "request is too long\n");
  return false;
}

int main(int argc, char **argv) {
  if (argc > 1) {
    bool help = strcmp(argv[1], "--help") == 0;
    fputs("hello: answers HTTP with the names of its pod and node.\n"
          "Paths: / greets, /healthz says ok, /metrics counts the greetings.\n"
          "Environment: PORT (8080), POD_NAME, NODE_NAME, GREETING (a second line), SALUTE (Hello).\n",
          help ? stdout : stderr);
    return help ? 0 : 2;
  }
  for (size_t i = 0; i < connections_max; i++) connections[i].fd = -1;
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, NULL);
  int signals = signalfd(-1, &ends, SFD_CLOEXEC);
  poller = epoll_create1(EPOLL_CLOEXEC);
  if (signals < 0 || poller < 0) fail("start");
  unsigned long port = strtoul(setting("PORT", "8080"), NULL, 10);
  if (port == 0 || port > 65535) {
    fprintf(stderr, "hello: PORT must be from 1 to 65535\n");
    return 2;
  }
  int listener = listen_on((unsigned)port);
  watch(listener, connections_max);
  watch(signals, connections_max + 1);
  printf("hello: listening on port %lu\n", port);
  fflush(stdout);
  for (;;) {
    struct epoll_event events[events_max];
    int count = epoll_wait(poller, events, events_max, -1);
    if (count < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < count; i++) {
      uint64_t what = events[i].data.u64;
      now++;
      if (what == connections_max + 1) return 0;
      if (what == connections_max) {
        welcome(listener);
      } else if (connections[what].fd >= 0 && !serve(&connections[what])) {
        hang_up(&connections[what]);
      }
    }
  }
}
