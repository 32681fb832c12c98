/* seccomp-listener <socket> <errno>: prints what a runtime says of a process, then answers its calls with that error until it ends.
   It daemonizes for the latter, so that who reads its output knows when all was said. */
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int receive(int socket) {
  static char text[64 * 1024];
  struct iovec part = {.iov_base = text, .iov_len = sizeof text};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
  ssize_t got = recvmsg(socket, &message, 0);
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  int listener = -1;
  if (got <= 0 || head == NULL || head->cmsg_type != SCM_RIGHTS) return -1;
  memcpy(&listener, CMSG_DATA(head), sizeof listener);
  return write(1, text, (size_t)got) == got ? listener : -1;
}

static void answer(int listener, int error) {
  for (;;) {
    struct pollfd ready = {.fd = listener, .events = POLLIN};
    struct seccomp_notif call = {0};
    if (poll(&ready, 1, 60000) <= 0 || (ready.revents & POLLHUP)) return;
    if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) continue;
    struct seccomp_notif_resp response = {.id = call.id, .error = -error};
    ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
  }
}

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 3 || strlen(argv[1]) >= sizeof address.sun_path) return 2;
  strcpy(address.sun_path, argv[1]);
  int socket_file = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(socket_file, (struct sockaddr *)&address, sizeof address) != 0 || listen(socket_file, 1) != 0) return 1;
  int connection = accept(socket_file, NULL, NULL);
  int listener = connection < 0 ? -1 : receive(connection);
  unlink(argv[1]);
  if (listener < 0) return 1;
  if (fork() != 0) return 0;
  for (int fd = 0; fd < 3; fd++) close(fd);
  answer(listener, atoi(argv[2]));
  return 0;
}
