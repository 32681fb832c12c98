/* Sandboxes: network, ipc, uts and user namespaces that containers share, held by bind mounts of files, so that no process has to. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* A shared pid namespace is there for pods that want it: pid-holder.c. */
static const char *const kinds[] = {"net", "ipc", "uts", "user", "pid"};

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

struct answer {
  int result;
  char what[TEXT_BYTES_MAX];
};

/* Runs in a process of its own, which ends once its namespaces are held. */
static int make_namespaces(struct op_call *call) {
  bool host_network = field_is(call->args[1], "1");
  if (unshare(CLONE_NEWIPC | CLONE_NEWUTS | (host_network ? 0 : CLONE_NEWNET)) != 0) return op_fail(call, errno, "make namespaces");
  if (sethostname(call->args[2].data, call->args[2].size) != 0) return op_fail(call, errno, "set hostname");
  if (!host_network && bring_loopback_up() != 0) return op_fail(call, errno, "bring lo up");
  for (int i = 4; i + 1 < call->count; i += 2)
    if (write_file(call->args[i].data, call->args[i + 1].data, call->args[i + 1].size) != 0)
      return op_fail(call, errno, "write %.60s to %.300s", call->args[i + 1].data, call->args[i].data);
  return 0;
}

static void tell(int socket, int result, const struct op_call *call) {
  struct answer answer = {.result = result};
  memcpy(answer.what, call->what, sizeof answer.what);
  (void)!write(socket, &answer, sizeof answer);
}

/* The others are made in the user namespace, so that its root rules over them. */
static _Noreturn void be_sandbox(int socket, struct op_call *call) {
  char go;
  bool mapped = call->args[3].size > 0;
  int result = 0;
  if (mapped) {
    /* The kernel makes no user namespace below a chroot. */
    if (enter_namespace_root() != 0 || unshare(CLONE_NEWUSER) != 0) result = op_fail(call, errno, "make user namespace");
    tell(socket, result, call);
    if (result < 0 || read(socket, &go, 1) != 1) _exit(1);
    if (syscall(SYS_setresgid, 0, 0, 0) != 0 || syscall(SYS_setresuid, 0, 0, 0) != 0) result = op_fail(call, errno, "become root");
  }
  if (result == 0) result = make_namespaces(call);
  tell(socket, result, call);
  (void)!read(socket, &go, 1);
  _exit(0);
}

static int hear(int socket, struct op_call *call) {
  struct answer answer;
  ssize_t got = read(socket, &answer, sizeof answer);
  if (got != (ssize_t)sizeof answer) return op_fail(call, ECHILD, "make namespaces");
  return answer.result < 0 ? op_fail(call, -answer.result, "%s", answer.what) : 0;
}

static int map_users(struct op_call *call, int socket, pid_t pid) {
  int result = hear(socket, call);
  if (result < 0) return result;
  static const char *const files[] = {"uid_map", "gid_map"};
  for (int i = 0; i < 2; i++) {
    char path[40], text[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, files[i]);
    int size = snprintf(text, sizeof text, "0 %.40s\n", call->args[3].data);
    if (write_file(path, text, (size_t)size) != 0) return op_fail(call, errno, "map users to %.40s", call->args[3].data);
  }
  return write(socket, "", 1) == 1 ? 0 : op_fail(call, errno, "make namespaces");
}

static int hold_namespaces(struct op_call *call, pid_t pid) {
  const char *directory = call->args[0].data;
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (strcmp(kinds[i], "pid") == 0 || (strcmp(kinds[i], "user") == 0 && call->args[3].size == 0)) continue;
    char from[40], to[4200];
    snprintf(from, sizeof from, "/proc/%d/ns/%s", (int)pid, kinds[i]);
    snprintf(to, sizeof to, "%s/%s", directory, kinds[i]);
    int file = open(to, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file < 0) return op_fail(call, errno, "make %s", to);
    close(file);
    if (sys_mount(from, to, NULL, MS_BIND, NULL) != 0) return op_fail(call, errno, "hold namespace at %s", to);
    sys_mount(NULL, to, NULL, MS_PRIVATE, NULL);
  }
  return 0;
}

/* sandbox.create <directory> <host's network 0|1> <hostname> "<its root on the host> <users>"|"" (<file of /proc/sys> <value>)… */
static int create(struct op_call *call) {
  for (int i = 0; i < call->count; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "sandbox.create");
  if (call->args[0].size > 4000 || (call->count - 4) % 2 != 0) return op_fail(call, EINVAL, "sandbox.create");
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return op_fail(call, errno, "socket");
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    be_sandbox(ends[1], call);
  }
  int result = pid < 0 ? op_fail(call, errno, "fork") : 0;
  close(ends[1]);
  if (result == 0 && call->args[3].size > 0) result = map_users(call, ends[0], pid);
  if (result == 0) result = hear(ends[0], call);
  if (result == 0) result = hold_namespaces(call, pid);
  close(ends[0]);
  return result;
}

/* sandbox.remove <directory>: the namespaces go with the last process in them. */
static int remove_sandbox(struct op_call *call) {
  if (!is_text(call->args[0]) || call->args[0].size > 4000) return op_fail(call, EINVAL, "sandbox.remove");
  end_pid_holder(call->args[0].data);
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", call->args[0].data, kinds[i]);
    while (sys_umount(path, UNMOUNT_DETACH | 8 /* UMOUNT_NOFOLLOW */) == 0) continue;
    if (unlink(path) != 0 && errno != ENOENT) return op_fail(call, errno, "remove %s", path);
  }
  if (rmdir(call->args[0].data) != 0 && errno != ENOENT) return op_fail(call, errno, "remove %s", call->args[0].data);
  return 0;
}

static const struct op ops[] = {
    {"sandbox.create", 4, 260, create},
    {"sandbox.remove", 1, 1, remove_sandbox},
};
OP_FAMILY(sandbox_ops, ops);
