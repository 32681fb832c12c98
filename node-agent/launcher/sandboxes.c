/* Sandboxes: network, ipc and uts namespaces that containers share, held by bind mounts of files, so that no process has to. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* A shared pid namespace is there for pods that want it: pid-holder.c. */
static const char *const kinds[] = {"net", "ipc", "uts", "pid"};
#define KINDS_MADE 3

int bring_loopback_up(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  struct ifreq request = {.ifr_name = "lo"};
  int result = ioctl(fd, SIOCGIFFLAGS, &request);
  if (result == 0) {
    request.ifr_flags |= IFF_UP;
    result = ioctl(fd, SIOCSIFFLAGS, &request);
  }
  int error = errno;
  close(fd);
  errno = error;
  return result;
}

/* Runs in a process of its own, which then ends. */
static int make_namespaces(struct op_call *call) {
  const char *directory = call->args[0].data;
  bool host_network = field_is(call->args[1], "1");
  if (unshare(CLONE_NEWIPC | CLONE_NEWUTS | (host_network ? 0 : CLONE_NEWNET)) != 0) return op_fail(call, errno, "make namespaces");
  if (sethostname(call->args[2].data, call->args[2].size) != 0) return op_fail(call, errno, "set hostname");
  if (!host_network && bring_loopback_up() != 0) return op_fail(call, errno, "bring lo up");
  for (int i = 3; i + 1 < call->count; i += 2)
    if (write_file(call->args[i].data, call->args[i + 1].data, call->args[i + 1].size) != 0)
      return op_fail(call, errno, "write %.60s to %.300s", call->args[i + 1].data, call->args[i].data);
  for (int i = 0; i < KINDS_MADE; i++) {
    char from[40], to[4200];
    snprintf(from, sizeof from, "/proc/self/ns/%s", kinds[i]);
    snprintf(to, sizeof to, "%s/%s", directory, kinds[i]);
    int file = open(to, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return op_fail(call, errno, "make %s", to);
    close(file);
    if (sys_mount(from, to, NULL, MS_BIND, NULL) != 0) return op_fail(call, errno, "hold namespace at %s", to);
    sys_mount(NULL, to, NULL, MS_PRIVATE, NULL);
  }
  return 0;
}

/* sandbox.create <directory> <host's network 0|1> <hostname> (<file of /proc/sys> <value>)… */
static int create(struct op_call *call) {
  for (int i = 0; i < call->count; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "sandbox.create");
  if (call->args[0].size > 4000 || (call->count - 3) % 2 != 0) return op_fail(call, EINVAL, "sandbox.create");
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return op_fail(call, errno, "pipe");
  pid_t pid = fork();
  if (pid < 0) {
    int error = errno;
    close(ends[0]);
    close(ends[1]);
    return op_fail(call, error, "fork");
  }
  struct {
    int result;
    char what[TEXT_BYTES_MAX];
  } answer = {.result = -ECHILD, .what = "the process that makes namespaces was ended"};
  if (pid == 0) {
    answer.result = make_namespaces(call);
    memcpy(answer.what, call->what, sizeof answer.what);
    (void)!write(ends[1], &answer, sizeof answer);
    _exit(0);
  }
  close(ends[1]);
  ssize_t got = read(ends[0], &answer, sizeof answer);
  close(ends[0]);
  if (got != (ssize_t)sizeof answer) return op_fail(call, ECHILD, "make namespaces");
  return answer.result < 0 ? op_fail(call, -answer.result, "%s", answer.what) : 0;
}

/* sandbox.remove <directory>: the namespaces go with the last process in them. */
static int remove_sandbox(struct op_call *call) {
  if (!is_text(call->args[0]) || call->args[0].size > 4000) return op_fail(call, EINVAL, "sandbox.remove");
  end_pid_holder(call->args[0].data);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", call->args[0].data, kinds[i]);
    while (sys_umount(path, MNT_DETACH | 8 /* UMOUNT_NOFOLLOW */) == 0) continue;
    if (unlink(path) != 0 && errno != ENOENT) return op_fail(call, errno, "remove %s", path);
  }
  if (rmdir(call->args[0].data) != 0 && errno != ENOENT) return op_fail(call, errno, "remove %s", call->args[0].data);
  return 0;
}

static const struct op ops[] = {
    {"sandbox.create", 3, 259, create},
    {"sandbox.remove", 1, 1, remove_sandbox},
};
OP_FAMILY(sandbox_ops, ops);
