/* Launch ops of a container that another OCI runtime makes. The plan's child becomes that runtime's `create` (or `exec`); when it has
   ended, the process that it left behind is the monitor's own, as it is a subreaper, and `start` is called here. Everything else, such
   as stdio, the log and the record of its end, is as with any other container. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#define WORDS_MAX 256
/* As long as a kubelet waits for a runtime. */
#define ANSWER_MS_MAX 120000

static struct {
  bool asked;
  const char *pid_file;
  int listener, console;
  char *args[WORDS_MAX + 1], *environment[WORDS_MAX + 1];
  uint64_t count;
} delegate = {.listener = -1, .console = -1};

bool delegated(void) { return delegate.asked; }

static int listen_at(struct op_call *call, const char *path) {
  char folder[4096];
  const char *slash = strrchr(path, '/');
  if (slash == NULL || (size_t)(slash - path) >= sizeof folder) return op_fail(call, EINVAL, "delegate: terminal's socket");
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
  int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return op_fail(call, errno, "open %s", folder);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%.60s", directory, slash + 1);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int result = fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0
                   ? op_fail(call, errno, "listen for a terminal")
                   : 0;
  close(directory);
  if (result == 0) delegate.listener = fd;
  else if (fd >= 0) close(fd);
  return result;
}

/* delegate <file with the process's number> <socket for its terminal or ""> <number of arguments> <arguments…> <environment…>: of
   the command that lets the process go on, once it exists; no arguments: it goes on by itself. */
static int op_delegate(struct launch *launch, struct op_call *call) {
  (void)launch;
  for (int i = 0; i < call->count; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "delegate");
  if (!field_number(call->args[2], (uint64_t)call->count - 3, &delegate.count)) return op_fail(call, EINVAL, "delegate: arguments");
  for (int i = 3; i < call->count; i++) {
    bool argument = (uint64_t)i - 3 < delegate.count;
    (argument ? delegate.args : delegate.environment)[argument ? i - 3 : i - 3 - (int)delegate.count] = (char *)(uintptr_t)call->args[i].data;
  }
  delegate.pid_file = call->args[0].data;
  delegate.asked = true;
  /* What the runtime leaves behind becomes a child of ours, so that we hear of its end. */
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return op_fail(call, errno, "delegate");
  return call->args[1].size > 0 ? listen_at(call, call->args[1].data) : 0;
}

/* stage <directory>: where `bind` and `place` put mounts now, for the runtime to take from there. */
static int op_stage(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "stage");
  if (launch->root >= 0) close(launch->root);
  launch->root = open(call->args[0].data, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  return launch->root < 0 ? op_fail(call, errno, "open %s", call->args[0].data) : 0;
}

/* cover <directory> <names…>: a file system over it, seen here alone, with these directories: a place that everybody may walk to. */
static int op_cover(struct launch *launch, struct op_call *call) {
  (void)launch;
  for (int i = 0; i < call->count; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "cover");
  const char *path = call->args[0].data;
  if (sys_mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=755") != 0) return op_fail(call, errno, "mount tmpfs at %s", path);
  int on = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  mode_t mask = umask(0);
  int result = on < 0 ? op_fail(call, errno, "open %s", path) : 0;
  for (int i = 1; i < call->count && result == 0; i++)
    if (mkdirat(on, call->args[i].data, 0755) != 0) result = op_fail(call, errno, "make directory %s/%s", path, call->args[i].data);
  umask(mask);
  if (on >= 0) close(on);
  return result;
}

static void take_terminal(void) {
  int from = accept4(delegate.listener, NULL, NULL, SOCK_CLOEXEC);
  if (from < 0) return;
  struct ucred who;
  socklen_t size = sizeof who;
  char data[256];
  struct iovec part = {.iov_base = data, .iov_len = sizeof data};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
  struct pollfd ready = {.fd = from, .events = POLLIN};
  bool root = getsockopt(from, SOL_SOCKET, SO_PEERCRED, &who, &size) == 0 && who.uid == 0;
  if (root && poll(&ready, 1, ANSWER_MS_MAX) > 0 && recvmsg(from, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) >= 0) {
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    int fd = -1;
    if (head != NULL && head->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(head), sizeof fd);
    if (fd >= 0 && delegate.console < 0 && isatty(fd)) delegate.console = fd;
    else if (fd >= 0) close(fd);
  }
  close(from);
}

/* Its wait status, or -1 when it did not end in time, and was ended. */
static int wait_for(pid_t pid, int pidfd) {
  int64_t until_ms = now_ms() + ANSWER_MS_MAX;
  int status = -1;
  for (;;) {
    struct pollfd polls[] = {{.fd = pidfd, .events = POLLIN}, {.fd = delegate.listener, .events = POLLIN}};
    int64_t left_ms = until_ms - now_ms();
    int ready = left_ms <= 0 || left_ms > ANSWER_MS_MAX ? 0 : poll(polls, 2, (int)left_ms);
    if (ready < 0) continue;
    if (ready == 0) break;
    if (polls[1].revents) take_terminal();
    if (polls[0].revents && waitpid(pid, &status, __WALL | WNOHANG) == pid) return status;
  }
  sys_pidfd_send_signal(pidfd, SIGKILL);
  waitpid(pid, NULL, __WALL);
  return -1;
}

/* What lies in the pipe now, its end when there is much, in one line. */
static void read_words(int from, char *text, size_t capacity) {
  char rest[4096];
  size_t size = 0;
  fcntl(from, F_SETFL, fcntl(from, F_GETFL) | O_NONBLOCK);
  for (ssize_t got; (got = read(from, rest, sizeof rest)) > 0;) {
    size_t added = (size_t)got;
    const char *at = rest;
    if (added > capacity - 1) {
      at += added - (capacity - 1);
      added = capacity - 1;
    }
    if (size + added > capacity - 1) {
      size_t left = capacity - 1 - added;
      memmove(text, text + size - left, left);
      size = left;
    }
    memcpy(text + size, at, added);
    size += added;
  }
  while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == ' ')) size--;
  text[size] = 0;
  for (char *at = text; *at != 0; at++)
    if ((unsigned char)*at < ' ') *at = ' ';
}

static int refused(struct op_call *call, int status, int words_from) {
  char words[TEXT_BYTES_MAX - 64];
  read_words(words_from, words, sizeof words);
  if (status == -1) return op_fail(call, ETIMEDOUT, "the runtime does not answer");
  if (words[0] != 0) return op_fail(call, EREMOTEIO, "%s", words);
  if (WIFSIGNALED(status)) return op_fail(call, EREMOTEIO, "the runtime was ended by signal %d", WTERMSIG(status));
  return op_fail(call, EREMOTEIO, "the runtime ended with %d and said nothing", WEXITSTATUS(status));
}

static int run_start(struct op_call *call) {
  int words[2], pidfd = -1;
  if (pipe2(words, O_CLOEXEC) != 0) return op_fail(call, errno, "pipe");
  struct naru_clone_args args = {.flags = CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
  pid_t pid = sys_clone3(&args);
  if (pid == 0) {
    signal(SIGPIPE, SIG_DFL);
    if (dup2(words[1], 2) < 0 || sys_close_range(3, ~0u, 0) != 0) _exit(1);
    execve(delegate.args[0], delegate.args, delegate.environment);
    static const char text[] = "the runtime cannot be executed\n";
    (void)!write(2, text, sizeof text - 1);
    _exit(1);
  }
  int error = errno;
  close(words[1]);
  int status = pid < 0 ? -1 : wait_for(pid, pidfd);
  int result = pid < 0 ? op_fail(call, error, "clone") : status == 0 ? 0 : refused(call, status, words[0]);
  if (pidfd >= 0) close(pidfd);
  close(words[0]);
  return result;
}

/* The process that the runtime's file names, which has to be a child of ours. */
static int adopt(struct launch *launch, struct op_call *call) {
  char text[32];
  uint64_t pid;
  int fd = open(delegate.pid_file, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  while (size > 0 && text[size - 1] == '\n') size--;
  if (size > 0) text[size] = 0;
  struct field number = {.data = text, .size = size > 0 ? (size_t)size : 0};
  if (!field_number(number, 1u << 30, &pid) || pid == 0) return op_fail(call, EPROTO, "read the number of the runtime's process");
  siginfo_t info;
  if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0)
    return op_fail(call, errno, "watch process %d of the runtime", (int)pid);
  launch->pidfd = sys_pidfd_open((pid_t)pid);
  if (launch->pidfd < 0) return op_fail(call, errno, "watch process %d of the runtime", (int)pid);
  launch->pid = (pid_t)pid;
  return 0;
}

static void close_file(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

int delegate_start(struct launch *launch, struct op_call *call) {
  int runtime = launch->pidfd;
  int status = wait_for(launch->pid, runtime);
  launch->pid = 0;
  launch->pidfd = -1;
  close(runtime);
  if (status != 0) return refused(call, status, launch->err);
  int result = adopt(launch, call);
  if (result < 0) return result;
  if (delegate.listener >= 0) {
    if (delegate.console < 0) return op_fail(call, EPROTO, "the runtime handed over no terminal");
    close_file(&delegate.listener);
    close_file(&launch->in);
    close_file(&launch->out);
    close_file(&launch->err);
    launch->in = launch->out = delegate.console;
    launch->terminal = true;
  }
  crash_point(launch, CRASH_DELEGATE_CREATED);
  if (delegate.count > 0) {
    char words[TEXT_BYTES_MAX];
    /* The program has not begun: what is there was said by the runtime. */
    if (launch->err >= 0) read_words(launch->err, words, sizeof words);
    result = run_start(call);
    crash_point(launch, CRASH_DELEGATE_STARTED);
  }
  /* Orphans of the container's are no concern of ours, and nobody here would reap them. */
  prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
  return result;
}

const struct launch_op delegate_launch_ops[] = {
    {"delegate", 3, 3 + WORDS_MAX, true, false, op_delegate},
    {"stage", 1, 1, false, true, op_stage},
    {"cover", 1, 8, false, true, op_cover},
};
const int delegate_launch_op_count = sizeof delegate_launch_ops / sizeof delegate_launch_ops[0];
