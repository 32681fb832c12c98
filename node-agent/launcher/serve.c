/* The resident launcher: takes requests on a unix socket, forks a monitor per launch, tells everyone who subscribed of ends.
   It holds nothing that is not also in the containers directory, so it can be killed and started again at any time. */
#include "kernel.h"
#include "launcher.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#define CLIENTS_MAX 64
#define CLIENT_BYTES_MIN (64u * 1024)
#define CLIENT_OUT_BYTES_MAX (4u * 1024 * 1024)
#define NAME_BYTES_MAX 200
/* Sandboxes for the pool are made when nobody asked for anything this long. */
#define QUIET_MS 20

struct peer {
  enum { LISTENER, CLIENT, MONITOR } kind;
  int fd;
  struct peer *next;
  uint64_t number;
  /* CLIENT: what came and is not performed yet, what could not be sent yet. */
  char *in, *out;
  size_t in_size, in_capacity, out_size, out_capacity;
  bool subscribed;
  /* MONITOR: its container, and who waits for its start. */
  char name[NAME_BYTES_MAX + 1];
  uint64_t asked_by;
  char request_id[24];
  bool ended;
  /* MONITOR in the pool: what it was made for, and whether it waits for a plan's rest. */
  struct shape *shape;
  unsigned shape_version;
  bool ready;
};

static int epoll_fd, containers;
static struct apart apart = {-1, -1, -1};
static int64_t busy_ms;
static struct peer *peers;
static int client_count;
static uint64_t next_number = 1;
static bool stopping;
static struct field fields[FIELDS_MAX];
static char reply_data[REPLY_BYTES_MAX];

static struct peer *add_peer(int kind, int fd) {
  struct peer *peer = calloc(1, sizeof *peer);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
  if (peer == NULL || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
    free(peer);
    close(fd);
    return NULL;
  }
  peer->kind = kind;
  peer->fd = fd;
  peer->number = next_number++;
  peer->next = peers;
  peers = peer;
  if (kind == CLIENT) client_count++;
  return peer;
}

static int64_t quiet_clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* A monitor may hold a copy of fd for a moment, so closing it alone would not end its events. */
static void forget(struct peer *peer) {
  if (peer->fd < 0) return;
  epoll_ctl(epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
  close(peer->fd);
  peer->fd = -1;
  if (peer->kind == CLIENT) client_count--;
}

/* Only between rounds, when no event can still point at one. */
static void free_forgotten(void) {
  for (struct peer **at = &peers; *at != NULL;) {
    struct peer *peer = *at;
    if (peer->fd >= 0) {
      at = &peer->next;
      continue;
    }
    *at = peer->next;
    if (peer->in != NULL) munmap(peer->in, peer->in_capacity);
    free(peer->out);
    free(peer);
  }
}

static void watch(struct peer *peer, bool output) {
  struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0), .data.ptr = peer};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, peer->fd, &event);
}

static void send_to(struct peer *client, const char *data, size_t size) {
  if (client->fd < 0 || size == 0) return;
  if (client->out_size == 0) {
    ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      forget(client);
      return;
    }
    if (sent > 0) {
      data += sent;
      size -= (size_t)sent;
    }
    if (size == 0) return;
  }
  if (client->out_size + size > client->out_capacity) {
    size_t capacity = (client->out_size + size) * 2;
    char *out = capacity > CLIENT_OUT_BYTES_MAX ? NULL : realloc(client->out, capacity);
    if (out == NULL) {
      forget(client);
      return;
    }
    client->out = out;
    client->out_capacity = capacity;
  }
  memcpy(client->out + client->out_size, data, size);
  client->out_size += size;
  watch(client, true);
}

static void send_pending(struct peer *client) {
  ssize_t sent = send(client->fd, client->out, client->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) forget(client);
    return;
  }
  client->out_size -= (size_t)sent;
  memmove(client->out, client->out + sent, client->out_size);
  if (client->out_size > 0) return;
  free(client->out);
  client->out = NULL;
  client->out_capacity = 0;
  watch(client, false);
}

static void finish(struct peer *client, struct writer *writer) {
  size_t size = write_end(writer);
  if (size > 0)
    send_to(client, writer->data, size);
  else
    forget(client);
}

static void reply_error(struct peer *client, struct field id, int error, const char *what) {
  char text[TEXT_BYTES_MAX + 128];
  struct writer writer;
  write_begin(&writer, reply_data, sizeof reply_data);
  write_field(&writer, id.data, id.size);
  write_text(&writer, "error");
  write_number(&writer, (uint64_t)error);
  snprintf(text, sizeof text, "%s", what);
  write_text(&writer, text);
  finish(client, &writer);
}

static void broadcast(const char *event, const char *name, const char *text) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next) {
    if (peer->kind != CLIENT || !peer->subscribed || peer->fd < 0) continue;
    struct writer writer;
    write_begin(&writer, reply_data, sizeof reply_data);
    write_number(&writer, 0);
    write_text(&writer, event);
    write_text(&writer, name);
    write_text(&writer, text);
    finish(peer, &writer);
  }
}

/* --- launches ------------------------------------------------------------------------------------------------------------- */

static bool is_name(struct field name) {
  if (name.size == 0 || name.size > NAME_BYTES_MAX || name.data[0] == '.') return false;
  for (size_t i = 0; i < name.size; i++) {
    char c = name.data[i];
    bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (!fine) return false;
  }
  return true;
}

/* Gives the new monitor's memory back what only the launcher needs; the request's frame stays. */
static void shed(const struct peer *asking) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (peer != asking && peer->in != NULL) munmap(peer->in, peer->in_capacity);
}

/* --- the pool ------------------------------------------------------------------------------------------------------------- */

static bool is_of(const struct peer *peer, const struct shape *shape) {
  return peer->kind == MONITOR && peer->fd >= 0 && peer->shape == shape && peer->shape_version == shape->version;
}

static int count_of(const struct shape *shape, bool ready) {
  int count = 0;
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (is_of(peer, shape) && (peer->ready || !ready)) count++;
  return count;
}

/* The shape that lacks one, when nothing else is to be done. */
static struct shape *lacking(void) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (peer->kind == MONITOR && peer->fd >= 0 && (peer->asked_by != 0 || (peer->shape != NULL && !peer->ready))) return NULL;
  struct shape *shape;
  for (int i = 0; (shape = pool_shape(i)) != NULL; i++)
    if (shape->count > 0 && !shape->failed && count_of(shape, false) < shape->wanted) return shape;
  return NULL;
}

/* The socket to a new monitor, or NULL with errno and what failed. */
static struct peer *fork_monitor(const struct peer *asking, struct launch_request *request, const char **what) {
  int ends[2];
  *what = "launch: socket";
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return NULL;
  request->control = ends[1];
  pid_t pid = fork();
  if (pid == 0) {
    shed(asking);
    monitor_run(containers, &apart, request);
  }
  int error = errno;
  close(ends[1]);
  if (pid < 0) {
    close(ends[0]);
    *what = "fork monitor";
    errno = error;
    return NULL;
  }
  *what = "watch monitor";
  errno = ENOMEM;
  return add_peer(MONITOR, ends[0]);
}

static void fill_pool(struct shape *shape) {
  const char *what;
  struct launch_request request = {
      .name = {.data = "", .size = 0}, .ops = shape->ops, .count = shape->count, .stream = -1, .pooled = true};
  struct peer *monitor = fork_monitor(NULL, &request, &what);
  shape->failed = monitor == NULL;
  if (monitor == NULL) return;
  monitor->shape = shape;
  monitor->shape_version = shape->version;
}

/* Those that are too many, and of shapes that are wanted no more. They end when their socket does. */
static void trim_pool(void) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (peer->kind == MONITOR && peer->fd >= 0 && peer->shape != NULL &&
        (peer->shape_version != peer->shape->version || count_of(peer->shape, false) > peer->shape->wanted))
      forget(peer);
}

/* pool <wanted> <ops…>: how many wait already. */
static int set_pool(struct op_call *call) {
  uint64_t wanted;
  if (call->count < 2 || !field_number(call->args[0], POOL_WANTED_MAX, &wanted)) return op_fail(call, EINVAL, "pool: number and ops");
  struct shape *shape = pool_set(call->args + 1, call->count - 1, (int)wanted);
  if (shape == NULL) return op_fail(call, ENOMEM, "pool");
  trim_pool();
  write_number(call->results, (uint64_t)count_of(shape, true));
  return 0;
}

/* One that waits for just this: it has the rest now, and is no more in the pool. NULL when there is none. */
static struct peer *take_pooled(int count) {
  struct shape *shape = pool_match(fields + 4, count - 4);
  struct peer *peer = peers;
  while (shape != NULL && peer != NULL && !(is_of(peer, shape) && peer->ready)) peer = peer->next;
  if (shape == NULL || peer == NULL) return NULL;
  struct writer writer;
  write_begin(&writer, reply_data, POOLED_BYTES_MAX);
  write_field(&writer, fields[3].data, fields[3].size);
  for (int i = 4 + shape->count; i < count; i++) write_field(&writer, fields[i].data, fields[i].size);
  size_t size = write_end(&writer);
  /* What is that long starts without. */
  if (size == 0 || send(peer->fd, reply_data + 4, size - 4, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) return NULL;
  peer->shape = NULL;
  return peer;
}

/* launch <container> <ops…> */
static void do_launch(struct peer *client, struct field id, int count) {
  if (count < 5 || !is_name(fields[3]) || id.size >= sizeof client->request_id) {
    reply_error(client, id, EINVAL, "launch: container's name and ops");
    return;
  }
  struct launch_request request = {.name = fields[3], .ops = fields + 4, .count = count - 4, .stream = -1, .request_id = id};
  const char *what;
  struct peer *monitor = take_pooled(count);
  if (monitor == NULL) monitor = fork_monitor(client, &request, &what);
  if (monitor == NULL) {
    reply_error(client, id, errno, what);
    return;
  }
  memcpy(monitor->name, fields[3].data, fields[3].size + 1);
  memcpy(monitor->request_id, id.data, id.size + 1);
  monitor->asked_by = client->number;
}

/* exec <ops…>: the connection becomes the process's stream. */
static void do_exec(struct peer *client, struct field id, int count) {
  struct launch_request request = {
      .name = {.data = "", .size = 0}, .ops = fields + 3, .count = count - 3, .control = -1, .stream = client->fd, .request_id = id};
  pid_t pid = fork();
  if (pid == 0) {
    int flags = fcntl(client->fd, F_GETFL);
    fcntl(client->fd, F_SETFL, flags & ~O_NONBLOCK);
    shed(client);
    monitor_run(containers, &apart, &request);
  }
  if (pid < 0)
    reply_error(client, id, errno, "fork monitor");
  else
    forget(client);
}

/* attach <container>: the connection goes to its monitor. */
static void do_attach(struct peer *client, struct field id, int count) {
  struct peer *monitor = peers;
  while (monitor != NULL && (count != 4 || monitor->kind != MONITOR || monitor->fd < 0 || monitor->ended || monitor->shape != NULL || !field_is(fields[3], monitor->name)))
    monitor = monitor->next;
  if (monitor == NULL) {
    reply_error(client, id, ESRCH, "attach: no such container runs");
    return;
  }
  char data[256];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_text(&writer, "attach");
  write_field(&writer, id.data, id.size);
  size_t size = write_end(&writer);
  struct iovec part = {.iov_base = data + 4, .iov_len = size - 4};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(head), &client->fd, sizeof(int));
  if (size == 0 || sendmsg(monitor->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    reply_error(client, id, size == 0 ? EINVAL : errno, "attach");
  else
    forget(client);
}

static struct peer *client_of(uint64_t number) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (peer->kind == CLIENT && peer->number == number && peer->fd >= 0) return peer;
  return NULL;
}

/* What one in the pool says: ready, or failed. */
static void hear_pooled(struct peer *monitor) {
  char data[1024];
  ssize_t got = recv(monitor->fd, data, sizeof data, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  struct field said[4];
  bool ready = got > 0 && read_fields((struct reader){.at = data, .end = data + got}, said, 4) == 1 && field_is(said[0], "ready");
  if (ready) {
    monitor->ready = true;
    return;
  }
  if (!monitor->ready && is_of(monitor, monitor->shape)) monitor->shape->failed = true;
  forget(monitor);
}

/* What a monitor says: started <status>, failed <errno> <what> <op's index>, exited <record>. */
static void hear(struct peer *monitor) {
  char data[1024];
  busy_ms = quiet_clock_ms();
  ssize_t got = recv(monitor->fd, data, sizeof data, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  struct peer *client = monitor->asked_by == 0 ? NULL : client_of(monitor->asked_by);
  struct field id = {.data = monitor->request_id, .size = strlen(monitor->request_id)};
  if (got <= 0) {
    if (client != NULL) reply_error(client, id, ECHILD, "the monitor was ended");
    if (!monitor->ended) broadcast("lost", monitor->name, "");
    forget(monitor);
    return;
  }
  struct field said[4];
  struct reader reader = {.at = data, .end = data + got};
  int count = read_fields(reader, said, 4);
  if (count == 2 && field_is(said[0], "exited")) {
    monitor->ended = true;
    broadcast("exited", monitor->name, said[1].data);
    return;
  }
  monitor->asked_by = 0;
  if (count == 4 && field_is(said[0], "failed")) monitor->ended = true;
  /* Who asked is gone; whoever came instead should know. */
  if (client == NULL && count == 2) broadcast("started", monitor->name, said[1].data);
  if (client == NULL || count < 2) return;
  struct writer writer;
  write_begin(&writer, reply_data, sizeof reply_data);
  write_field(&writer, id.data, id.size);
  write_text(&writer, count == 2 ? "ok" : "error");
  for (int i = 1; i < count; i++) write_field(&writer, said[i].data, said[i].size);
  finish(client, &writer);
}

/* --- requests ------------------------------------------------------------------------------------------------------------- */

static bool perform(struct peer *client, struct reader reader) {
  uint64_t number;
  int count = read_fields(reader, fields, FIELDS_MAX);
  if (count < 3 || !field_number(fields[0], 1ull << 53, &number) || number == 0) return false;
  struct field id = fields[0], name = fields[1];
  /* Who asks whether sandboxes wait keeps none from being made. */
  if (!field_is(name, "pool")) busy_ms = quiet_clock_ms();
  if (field_is(name, "launch")) {
    do_launch(client, id, count);
  } else if (field_is(name, "exec")) {
    do_exec(client, id, count);
  } else if (field_is(name, "attach")) {
    do_attach(client, id, count);
  } else {
    struct writer writer;
    write_begin(&writer, reply_data, sizeof reply_data);
    write_field(&writer, id.data, id.size);
    write_text(&writer, "ok");
    struct op_call call = {.args = fields + 3, .count = count - 3, .results = &writer};
    int result = 0;
    if (field_is(name, "subscribe"))
      client->subscribed = true;
    else if (field_is(name, "stop"))
      stopping = true;
    else if (field_is(name, "pool"))
      result = set_pool(&call);
    else
      result = run_op(name, fields[2], &call);
    if (result < 0)
      reply_error(client, id, -result, call.what);
    else
      finish(client, &writer);
  }
  return true;
}

static bool make_room(struct peer *client, size_t size) {
  if (client->in == NULL) {
    char *in = mmap(NULL, CLIENT_BYTES_MIN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (in == MAP_FAILED) return false;
    client->in = in;
    client->in_capacity = CLIENT_BYTES_MIN;
  }
  if (size <= client->in_capacity) return true;
  size_t capacity = (size + CLIENT_BYTES_MIN - 1) / CLIENT_BYTES_MIN * CLIENT_BYTES_MIN;
  char *in = mremap(client->in, client->in_capacity, capacity, MREMAP_MAYMOVE);
  if (in == MAP_FAILED) return false;
  client->in = in;
  client->in_capacity = capacity;
  return true;
}

static void read_client(struct peer *client) {
  if (!make_room(client, client->in_size + 1)) {
    forget(client);
    return;
  }
  ssize_t got = recv(client->fd, client->in + client->in_size, client->in_capacity - client->in_size, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    forget(client);
    return;
  }
  client->in_size += (size_t)got;
  size_t at = 0;
  while (client->fd >= 0 && client->in_size - at >= sizeof(uint32_t)) {
    uint32_t size;
    memcpy(&size, client->in + at, sizeof size);
    if (size > FRAME_BYTES_MAX) {
      forget(client);
      return;
    }
    size_t whole = sizeof size + size;
    if (client->in_size - at < whole) {
      if (!make_room(client, whole)) forget(client);
      break;
    }
    struct reader reader = {.at = client->in + at + sizeof size, .end = client->in + at + whole};
    if (!perform(client, reader)) {
      forget(client);
      return;
    }
    at += whole;
  }
  if (client->fd < 0) return;
  client->in_size -= at;
  memmove(client->in, client->in + at, client->in_size);
  if (client->in_size == 0 && client->in_capacity > CLIENT_BYTES_MIN) {
    munmap(client->in, client->in_capacity);
    client->in = NULL;
    client->in_capacity = 0;
  }
}

static void accept_client(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  struct ucred who;
  socklen_t size = sizeof who;
  if (client_count >= CLIENTS_MAX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.uid != 0)
    close(fd);
  else
    add_peer(CLIENT, fd);
}

/* --- start ------------------------------------------------------------------------------------------------------------------ */

/* Monitors of an earlier launcher listen in their containers' directories. */
static void adopt(const char *name) {
  struct field field = {.data = name, .size = strlen(name)};
  if (!is_name(field)) return;
  int directory = openat(containers, name, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  if (directory < 0) return;
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/monitor", directory);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0) {
    struct peer *monitor = add_peer(MONITOR, fd);
    if (monitor != NULL) memcpy(monitor->name, name, field.size + 1);
  } else if (fd >= 0) {
    close(fd);
  }
  close(directory);
}

static int fail(const char *what) {
  fprintf(stderr, "naru-launcher: %s: %s\n", what, strerror(errno));
  return 1;
}

int serve(const char *run_directory, const char *containers_directory) {
  /* Whatever the agent ignores or blocks, containers must not inherit. */
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGCHLD, SIG_IGN);
  umask(077);
  containers = open(containers_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (containers < 0) return fail(containers_directory);
  if (chdir(run_directory) != 0) return fail(run_directory);
  int lock = open("launcher.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0) return fail("launcher.lock");
  /* Another one serves already: whoever started this one will find it. */
  if (flock(lock, LOCK_EX | LOCK_NB) != 0) return errno == EWOULDBLOCK ? 0 : fail("lock");
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (epoll_fd < 0 || listener < 0) return fail("socket");
  DIR *list = opendir(containers_directory);
  if (list == NULL) return fail(containers_directory);
  for (struct dirent *entry; (entry = readdir(list)) != NULL;) adopt(entry->d_name);
  closedir(list);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "launcher.sock"};
  unlink(address.sun_path);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0) return fail("listen on launcher.sock");
  struct peer *entrance = add_peer(LISTENER, listener);
  if (entrance == NULL) return fail("listen on launcher.sock");
  if (make_apart(&apart) != 0) return fail("make a mount namespace for containers to begin in");
  if (chdir("/") != 0) return fail("/");
  while (!stopping) {
    struct epoll_event events[64];
    struct shape *shape = lacking();
    int64_t left_ms = shape == NULL ? -1 : busy_ms + QUIET_MS - quiet_clock_ms();
    if (shape != NULL && left_ms <= 0) fill_pool(shape);
    int count = epoll_wait(epoll_fd, events, 64, left_ms > 0 ? (int)left_ms : -1);
    for (int i = 0; i < count; i++) {
      struct peer *peer = events[i].data.ptr;
      if (peer->fd < 0) continue;
      if (peer->kind == LISTENER)
        accept_client(peer->fd);
      else if (peer->kind == MONITOR && peer->shape != NULL)
        hear_pooled(peer);
      else if (peer->kind == MONITOR)
        hear(peer);
      else if (events[i].events & EPOLLOUT)
        send_pending(peer);
      else
        read_client(peer);
    }
    free_forgotten();
  }
  return 0;
}
