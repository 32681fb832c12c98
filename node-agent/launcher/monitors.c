/* The launcher and its monitors: forked for a launch or an exec, found again by the next launcher, listened to until their end. */
#include "kernel.h"
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

int containers = -1;
struct apart apart = {-1, -1, -1};

static bool is_name(struct field name) {
  if (name.size == 0 || name.size > NAME_BYTES_MAX || name.data[0] == '.') return false;
  for (size_t i = 0; i < name.size; i++) {
    char c = name.data[i];
    bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
    if (!fine) return false;
  }
  return true;
}

struct peer *fork_monitor(const struct peer *asking, struct launch_request *request, const char **what) {
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

/* launch <container> <ops…> */
void do_launch(struct peer *client, struct field id, int count) {
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
void do_exec(struct peer *client, struct field id, int count) {
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

struct peer *monitor_of(struct field name) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (peer->kind == MONITOR && peer->fd >= 0 && !peer->ended && peer->shape == NULL && field_is(name, peer->name)) return peer;
  return NULL;
}

/* attach <container>: the connection goes to its monitor. */
void do_attach(struct peer *client, struct field id, int count) {
  struct peer *monitor = count == 4 ? monitor_of(fields[3]) : NULL;
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

/* What a monitor says: started <status>, failed <errno> <what> <op's index>, exited <record>. */
void hear(struct peer *monitor) {
  char data[1024];
  note_busy();
  ssize_t got = recv(monitor->fd, data, sizeof data, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  struct peer *client = monitor->asked_by == 0 ? NULL : client_of(monitor->asked_by);
  struct field id = {.data = monitor->request_id, .size = strlen(monitor->request_id)};
  if (got <= 0) {
    if (client != NULL) reply_error(client, id, ECHILD, "the monitor was ended");
    if (!monitor->ended) broadcast("lost", monitor->name, "");
    forget(monitor);
    note_gone();
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

void adopt(const char *name) {
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
