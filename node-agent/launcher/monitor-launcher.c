/* A monitor and its launcher: what it tells it, what it is asked, and how the next one finds it. */
#include "kernel.h"
#include "monitor.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

void tell(struct writer *writer) {
  size_t size = write_end(writer);
  if (monitor.control >= 0 && size > 0) send(monitor.control, writer->data + 4, size - 4, MSG_NOSIGNAL);
}

void tell_failed(int error, const char *what, int index) {
  char data[1024];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_failure(&writer, error, what, index);
  tell(&writer);
}

static void attach(int fd, struct field request_id) {
  /* The launcher never waits for a client; here the limit on sending does its work. */
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  if (!add_client(fd)) return;
  char data[256];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_field(&writer, request_id.data, request_id.size);
  write_text(&writer, "ok");
  write_number(&writer, (uint64_t)monitor.launch.pid);
  size_t size = write_end(&writer);
  /* One that has gone already is noticed when it is read from. */
  send_all(fd, data, size);
  monitor.launch.hold_output = false;
}

void read_control(void) {
  char data[256];
  struct iovec part = {.iov_base = data, .iov_len = sizeof data};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
  ssize_t got = recvmsg(monitor.control, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    close(monitor.control);
    monitor.control = -1;
    return;
  }
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  int fd = -1;
  if (head != NULL && head->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(head), sizeof fd);
  struct field fields[2];
  struct reader reader = {.at = data, .end = data + got};
  if (read_fields(reader, fields, 2) == 2 && field_is(fields[0], "attach") && fd >= 0)
    attach(fd, fields[1]);
  else if (fd >= 0)
    close(fd);
}

void accept_launcher(void) {
  int fd = accept4(monitor.listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  struct ucred who;
  socklen_t size = sizeof who;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.uid != 0) {
    close(fd);
    return;
  }
  if (monitor.control >= 0) close(monitor.control);
  monitor.control = fd;
}

int listen_in_directory(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/monitor", monitor.directory);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
  if (bound != 0 && errno == EADDRINUSE) {
    /* Of a monitor that was killed while it started nobody listens any more. Asked in another socket type: who does listen says that it
       is the wrong one, and takes us for no launcher. */
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool free_again = other >= 0 && connect(other, (struct sockaddr *)&address, sizeof address) != 0 && errno == ECONNREFUSED;
    if (other >= 0) close(other);
    if (free_again && unlinkat(monitor.directory, "monitor", 0) == 0) bound = bind(fd, (struct sockaddr *)&address, sizeof address);
    else errno = EADDRINUSE;
  }
  if (bound != 0 || listen(fd, 4) != 0) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}
