/* A pid namespace that a pod's containers share. Unlike the others it lives by its first process: one that only reaps what is orphaned,
   and that whoever gets hold of it from inside finds to have nothing: an empty root, no user, no capabilities, no open files. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NOBODY 65534

struct answer {
  int error;
  char what[TEXT_BYTES_MAX];
};

static int enter(const char *directory, const char *kind, int flag) {
  char path[4200];
  snprintf(path, sizeof path, "%s/%s", directory, kind);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  int result = setns(fd, flag);
  close(fd);
  return result;
}

static int empty_root(const char *directory) {
  if (unshare(CLONE_NEWNS | CLONE_NEWCGROUP) != 0 || sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return -1;
  unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (sys_mount("none", directory, "tmpfs", flags, "size=4k,nr_inodes=2,mode=0555") != 0) return -1;
  if (chdir(directory) != 0 || sys_pivot_root(".", ".") != 0 || sys_umount(".", UNMOUNT_DETACH) != 0) return -1;
  return sys_mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | flags, NULL);
}

static const char *become_nothing(const char *directory) {
  if (enter(directory, "net", CLONE_NEWNET) != 0 || enter(directory, "ipc", CLONE_NEWIPC) != 0 ||
      enter(directory, "uts", CLONE_NEWUTS) != 0)
    return "enter the pod's namespaces";
  if (empty_root(directory) != 0) return "make an empty root";
  if (setsid() < 0 || setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0 || setresuid(NOBODY, NOBODY, NOBODY) != 0)
    return "drop privileges";
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0) return "drop privileges";
  return NULL;
}

/* The namespace's first process. The other end of `parent` tells when it is on record; until then it ends with the launcher. */
static _Noreturn void hold(const char *directory, int parent) {
  char go;
  if (read(parent, &go, 1) != 1) _exit(1);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  int only = dup2(parent, 3);
  sys_close_range(4, ~0u, 0);
  /* Orphans are reaped by the kernel. Signals from inside do not reach a first process that has no handlers. */
  signal(SIGCHLD, SIG_IGN);
  for (char **entry = environ; *entry != NULL; entry++) memset(*entry, 0, strlen(*entry));
  set_title("naru-pause");
  struct answer answer = {0};
  const char *failed = become_nothing(directory);
  if (failed != NULL) {
    answer.error = errno;
    snprintf(answer.what, sizeof answer.what, "%s", failed);
  }
  (void)!write(only, &answer, sizeof answer);
  if (failed != NULL) _exit(1);
  close(only);
  for (;;) pause();
}

static int note(const char *directory, pid_t pid) {
  char path[4200], text[64];
  snprintf(path, sizeof path, "%s/init", directory);
  int size = snprintf(text, sizeof text, "%d %llu\n", (int)pid, (unsigned long long)process_start(pid));
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -1;
  ssize_t put = write(fd, text, (size_t)size);
  close(fd);
  return put == size ? 0 : -1;
}

static int bind_namespace(const char *directory, pid_t pid) {
  char from[64], to[4200];
  snprintf(from, sizeof from, "/proc/%d/ns/pid", (int)pid);
  snprintf(to, sizeof to, "%s/pid", directory);
  int file = open(to, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0) return -1;
  close(file);
  if (sys_mount(from, to, NULL, MS_BIND, NULL) != 0) return -1;
  return sys_mount(NULL, to, NULL, MS_PRIVATE, NULL);
}

static int start_holder(const char *directory, struct op_call *call) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return op_fail(call, errno, "socketpair");
  struct naru_clone_args args = {.flags = CLONE_NEWPID, .exit_signal = SIGCHLD};
  pid_t pid = sys_clone3(&args);
  if (pid == 0) {
    close(ends[0]);
    hold(directory, ends[1]);
  }
  int error = errno;
  close(ends[1]);
  struct answer answer = {.error = ECHILD, .what = "hold a pid namespace"};
  if (pid < 0 || note(directory, pid) != 0 || write(ends[0], "", 1) != 1) {
    answer.error = pid < 0 ? error : errno;
  } else if (read(ends[0], &answer, sizeof answer) == (ssize_t)sizeof answer && answer.error == 0) {
    if (bind_namespace(directory, pid) != 0) answer.error = errno;
  }
  close(ends[0]);
  if (answer.error == 0) return 0;
  if (pid > 0) kill(pid, SIGKILL);
  return op_fail(call, answer.error, "%s", answer.what);
}

void end_pid_holder(const char *directory) {
  char path[4200], text[64] = {0};
  snprintf(path, sizeof path, "%s/init", directory);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return;
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  int pid = 0;
  unsigned long long start = 0;
  if (got > 0 && sscanf(text, "%d %llu", &pid, &start) == 2 && pid > 1 && start != 0 && process_start(pid) == start)
    kill(pid, SIGKILL);
  unlink(path);
}

/* sandbox.hold-pids <directory>: a pid namespace beside the sandbox's others, bound to `pid`. */
static int hold_pids(struct op_call *call) {
  if (!is_text(call->args[0]) || call->args[0].size > 4000) return op_fail(call, EINVAL, "sandbox.hold-pids");
  end_pid_holder(call->args[0].data);
  return start_holder(call->args[0].data, call);
}

static const struct op ops[] = {
    {"sandbox.hold-pids", 1, 1, hold_pids},
};
OP_FAMILY(pid_holder_ops, ops);
