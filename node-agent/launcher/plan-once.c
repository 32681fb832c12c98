/* Launch ops of a process whose caller decides when it goes on, and runs programs on its way: OCI runtimes' create, start, hooks. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static int unix_socket(struct field path, struct sockaddr_un *address) {
  *address = (struct sockaddr_un){.sun_family = AF_UNIX};
  if (!is_text(path) || path.size == 0 || path.size >= 4096) {
    errno = ENAMETOOLONG;
    return -1;
  }
  const char *slash = strrchr(path.data, '/');
  if (path.size < sizeof address->sun_path) {
    memcpy(address->sun_path, path.data, path.size);
  } else if (slash != NULL && slash != path.data) {
    /* Too long for an address, so by its open directory; clone closes that. */
    char folder[4096];
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path.data), path.data);
    int directory = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return -1;
    int size = snprintf(address->sun_path, sizeof address->sun_path, "/proc/self/fd/%d%s", directory, slash);
    if (size < 0 || (size_t)size >= sizeof address->sun_path) {
      errno = ENAMETOOLONG;
      return -1;
    }
  }
  return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* start-socket <path>: whoever connects there starts the program that await-start holds back. */
static int op_start_socket(struct launch *launch, struct op_call *call) {
  struct sockaddr_un address;
  int fd = unix_socket(call->args[0], &address);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0)
    return op_fail(call, errno, "listen at %.300s", call->args[0].data);
  launch->listener = fd;
  return 0;
}

int connect_unix(struct field path) {
  struct sockaddr_un address;
  int fd = unix_socket(path, &address);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
  int error = errno;
  close(fd);
  errno = error;
  return -1;
}

/* console-socket <path>: gets the master of the process's terminal. */
static int op_console_socket(struct launch *launch, struct op_call *call) {
  launch->console = connect_unix(call->args[0]);
  return launch->console < 0 ? op_fail(call, errno, "connect to console socket %.300s", call->args[0].data) : 0;
}

/* seccomp-listener <path>: gets what decides over the calls that the filter leaves to it. */
static int op_seccomp_listener(struct launch *launch, struct op_call *call) {
  launch->seccomp_listener = connect_unix(call->args[0]);
  return launch->seccomp_listener < 0 ? op_fail(call, errno, "connect to seccomp listener %.300s", call->args[0].data) : 0;
}

/* sync: the caller does its part while the namespaces are there and the root is not yet. */
static int op_sync(struct launch *launch, struct op_call *call) {
  char answer[24];
  if (send_with_file(launch->report, "sync", -1) != 0) return op_fail(call, errno, "ask the caller");
  ssize_t got = recv(launch->report, answer, sizeof answer - 1, 0);
  if (got <= 0) return op_fail(call, ECANCELED, "the caller is gone");
  answer[got] = 0;
  launch->host_pid = atoi(answer);
  return 0;
}

/* The first process of a pid namespace gets no signal without a handler. */
static void end_by(int number) { _exit(128 + number); }

/* await-start */
static int op_await_start(struct launch *launch, struct op_call *call) {
  if (launch->listener < 0) return op_fail(call, EINVAL, "await-start");
  static const int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM};
  for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++) signal(deadly[i], end_by);
  /* The caller may wait until nobody holds its own output any more. */
  for (int i = 0; i < 3; i++)
    if (dup2(launch->child_stdio[i], i) < 0) return op_fail(call, errno, "set up stdio");
  if (send_with_file(launch->report, "waiting", -1) != 0) return op_fail(call, errno, "tell that it waits");
  int fd;
  do fd = accept4(launch->listener, NULL, NULL, SOCK_CLOEXEC);
  while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd < 0) return op_fail(call, errno, "wait for start");
  for (size_t i = 0; i < sizeof deadly / sizeof deadly[0]; i++) signal(deadly[i], SIG_DFL);
  close(launch->listener);
  close(launch->report);
  launch->listener = -1;
  launch->report = fd;
  launch->framed = true;
  return 0;
}

/* Its first line, for the error. */
static void read_words(int file, char *words, size_t size) {
  ssize_t got = pread(file, words, size - 1, 0);
  words[got > 0 ? got : 0] = 0;
  words[strcspn(words, "\n")] = 0;
  for (char *at = words; *at != 0; at++)
    if (*at < ' ' || *at > '~') *at = '?';
}

static int wait_for_hook(struct op_call *call, pid_t pid, int timeout_ms, int output) {
  const char *path = call->args[3].data;
  int pidfd = sys_pidfd_open(pid), status = 0;
  struct pollfd ready = {.fd = pidfd, .events = POLLIN};
  int result = pidfd < 0 ? -1 : poll(&ready, 1, timeout_ms);
  if (result <= 0) kill(pid, SIGKILL);
  waitpid(pid, &status, 0);
  if (pidfd >= 0) close(pidfd);
  if (result == 0) return op_fail(call, ETIMEDOUT, "hook %.200s: ran longer than %d ms", path, timeout_ms);
  if (result < 0) return op_fail(call, errno, "wait for hook %.200s", path);
  if (status == 0) return 0;
  char words[160];
  read_words(output, words, sizeof words);
  return op_fail(call, ECANCELED, "hook %.200s ended with %d: %s", path, WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status), words);
}

/* hook <ms or 0> <state up to the pid> <state behind it> <path> <number of arguments> <arguments…> <environment…>: runs a program in
   the container's namespaces, with its state on standard input. */
static int op_hook(struct launch *launch, struct op_call *call) {
  uint64_t timeout, count;
  for (int i = 0; i < call->count; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "hook");
  if (!field_number(call->args[0], 1 << 30, &timeout) || !field_number(call->args[4], (uint64_t)call->count - 5, &count))
    return op_fail(call, EINVAL, "hook");
  char **words = calloc((size_t)call->count + 2, sizeof *words), **args = words, **environment = words + count + 1;
  int input = memfd_create("state", MFD_CLOEXEC), output = memfd_create("output", MFD_CLOEXEC);
  if (words == NULL || input < 0 || output < 0) return op_fail(call, errno, "hook");
  for (int i = 5; i < call->count; i++)
    ((uint64_t)i - 5 < count ? args : environment)[(uint64_t)i - 5 < count ? (uint64_t)i - 5 : (uint64_t)i - 5 - count] =
        (char *)(uintptr_t)call->args[i].data;
  dprintf(input, "%s%d%s", call->args[1].data, launch->host_pid, call->args[2].data);
  lseek(input, 0, SEEK_SET);
  pid_t pid = fork();
  if (pid == 0) {
    if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0) _exit(126);
    execve(call->args[3].data, args, environment);
    dprintf(2, "%s\n", strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
  }
  int result = pid < 0 ? op_fail(call, errno, "hook %.200s", call->args[3].data) : wait_for_hook(call, pid, timeout == 0 ? -1 : (int)timeout, output);
  close(input);
  close(output);
  free(words);
  return result;
}

/* umask <mask> */
static int op_umask(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t mask;
  if (!field_number(call->args[0], 0777, &mask)) return op_fail(call, EINVAL, "umask");
  umask((mode_t)mask);
  return 0;
}

/* personality <number> */
static int op_personality(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t number;
  if (!field_number(call->args[0], UINT32_MAX, &number)) return op_fail(call, EINVAL, "personality");
  return personality((unsigned long)number) < 0 ? op_fail(call, errno, "set personality") : 0;
}

/* root-propagation shared|slave|unbindable: of "/" and all that is mounted below it. */
static int op_root_propagation(struct launch *launch, struct op_call *call) {
  (void)launch;
  unsigned long flag = field_is(call->args[0], "shared") ? MS_SHARED : field_is(call->args[0], "slave") ? MS_SLAVE : MS_UNBINDABLE;
  return sys_mount(NULL, "/", NULL, flag | MS_REC, NULL) != 0 ? op_fail(call, errno, "make / %s", call->args[0].data) : 0;
}

const struct launch_op once_launch_ops[] = {
    {"start-socket", 1, 1, true, false, op_start_socket},
    {"console-socket", 1, 1, true, false, op_console_socket},
    {"seccomp-listener", 1, 1, true, false, op_seccomp_listener},
    {"sync", 0, 0, false, true, op_sync},
    {"await-start", 0, 0, false, true, op_await_start},
    {"hook", 6, FIELDS_MAX, false, true, op_hook},
    {"umask", 1, 1, false, true, op_umask},
    {"personality", 1, 1, false, true, op_personality},
    {"root-propagation", 1, 1, false, true, op_root_propagation},
};
const int once_launch_op_count = sizeof once_launch_ops / sizeof once_launch_ops[0];
