/* The resident launcher: takes requests on a unix socket, forks a monitor per launch, tells everyone who subscribed of ends.
   It holds nothing that is not also in the containers directory, so it can be killed and started again at any time. */
#include "kernel.h"
#include "serve.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#define CLIENTS_MAX 64

struct field fields[FIELDS_MAX];

static bool stopping;

/* aside <op> <arguments…>: what the kernel takes long with is performed by a process of its own, so that nobody waits behind it. The
   connection is that process's and ends with it. */
static void do_aside(struct peer *client, struct field id, int count) {
  pid_t pid = count < 4 ? -1 : fork();
  if (pid < 0) {
    reply_error(client, id, count < 4 ? EINVAL : errno, "aside");
    return;
  }
  if (pid > 0) {
    forget(client);
    return;
  }
  /* The lock and the others' connections are not to outlive the launcher here. */
  if (dup2(client->fd, 3) < 0 || sys_close_range(4, ~0u, 0) != 0) _exit(1);
  fcntl(3, F_SETFL, fcntl(3, F_GETFL) & ~O_NONBLOCK);
  struct writer writer;
  write_begin(&writer, reply_data, sizeof reply_data);
  write_field(&writer, id.data, id.size);
  write_text(&writer, "ok");
  struct op_call call = {.args = fields + 4, .count = count - 4, .results = &writer};
  int result = run_op(fields[3], fields[2], &call);
  if (result < 0) write_error(&writer, id, -result, call.what);
  size_t size = write_end(&writer);
  for (size_t at = 0; at < size;) {
    ssize_t sent = send(3, reply_data + at, size - at, MSG_NOSIGNAL);
    if (sent < 0) _exit(1);
    at += (size_t)sent;
  }
  _exit(0);
}

static bool perform(struct peer *client, struct reader reader) {
  uint64_t number;
  int count = read_fields(reader, fields, FIELDS_MAX);
  if (count < 3 || !field_number(fields[0], 1ull << 53, &number) || number == 0) return false;
  struct field id = fields[0], name = fields[1];
  /* Who asks whether sandboxes wait keeps none from being made. */
  if (!field_is(name, "pool")) note_busy();
  if (field_is(name, "launch")) {
    do_launch(client, id, count);
  } else if (field_is(name, "exec")) {
    do_exec(client, id, count);
  } else if (field_is(name, "attach")) {
    do_attach(client, id, count);
  } else if (field_is(name, "aside")) {
    do_aside(client, id, count);
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
    else if (field_is(name, "is-monitored") && count == 4)
      write_number(&writer, monitor_of(fields[3]) != NULL);
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
  give_back_room(client);
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
    int count = epoll_wait(epoll_fd, events, 64, fill_pool_when_quiet());
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
