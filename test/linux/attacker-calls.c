/* Runs as a container's program. Without a word it calls the kernel where ways out were found: each line is a call and what came of it.
   "host" looks from the host's pid namespace at the processes that brought it there, "chroot" leaves the container's root for another. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long result) { printf("%s: %s\n", what, result >= 0 ? "ALLOWED" : strerror(errno)); }

/* A file handle of the disk's root directory, whatever the root is here (the "shocker" of Docker 0.11). */
static long open_host_root(void) {
  struct {
    unsigned bytes;
    int type;
    uint32_t inode[2];
  } handle = {8, 1, {2, 0}};
  int mount = open("/", O_RDONLY | O_DIRECTORY);
  return syscall(SYS_open_by_handle_at, mount, &handle, O_RDONLY);
}

/* In a child: what follows is tried where everything else is. */
static long unshare_in_child(int namespaces) {
  pid_t pid = fork();
  if (pid == 0) _exit(syscall(SYS_unshare, namespaces) == 0 ? 0 : errno);
  int status = 0;
  waitpid(pid, &status, 0);
  errno = WEXITSTATUS(status);
  return errno == 0 ? 0 : -1;
}

static long clone_users(void) {
  long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) _exit(0);
  if (pid > 0) waitpid((pid_t)pid, NULL, 0);
  return pid;
}

static long clone3_users(void) {
  uint64_t args[8] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
  long pid = syscall(SYS_clone3, args, sizeof args);
  if (pid == 0) _exit(0);
  if (pid > 0) waitpid((pid_t)pid, NULL, 0);
  return pid;
}

static int call(void) {
  char space[256] = {0};
  /* The mount calls that came after the filters were written. */
  say("fsopen", syscall(SYS_fsopen, "proc", 0));
  say("fspick", syscall(SYS_fspick, AT_FDCWD, "/proc", 0));
  say("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/proc", 1 /* OPEN_TREE_CLONE */));
  say("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/etc", 0));
  uint64_t clear[4] = {0, 1, 0, 0};
  say("mount_setattr", syscall(SYS_mount_setattr, AT_FDCWD, "/proc/sys", 0, clear, sizeof clear));
  say("mount", syscall(SYS_mount, "tmpfs", "/etc", "tmpfs", 0, NULL));
  say("umount2", syscall(SYS_umount2, "/proc/sys", 2));
  say("pivot_root", syscall(SYS_pivot_root, "/etc", "/etc"));
  /* Namespaces of one's own, where everybody is root. */
  say("unshare user", unshare_in_child(CLONE_NEWUSER));
  say("unshare mount", unshare_in_child(CLONE_NEWNS));
  say("clone user", clone_users());
  say("clone3 user", clone3_users());
  say("setns", syscall(SYS_setns, open("/proc/self/ns/uts", O_RDONLY), 0));
  /* What does work in the kernel that no filter sees, or that was found to be broken again and again. */
  say("io_uring_setup", syscall(SYS_io_uring_setup, 4, space));
  say("userfaultfd", syscall(SYS_userfaultfd, 0));
  say("bpf", syscall(SYS_bpf, 0, space, sizeof space));
  say("perf_event_open", syscall(SYS_perf_event_open, space, 0, -1, -1, 0));
  say("keyctl", syscall(SYS_keyctl, 0, -3, 1));
  say("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -3));
  say("request_key", syscall(SYS_request_key, "user", "x", NULL, 0));
  say("open_by_handle_at", open_host_root());
  say("kcmp", syscall(SYS_kcmp, getpid(), getpid(), 1, 0, 0));
  say("init_module", syscall(SYS_init_module, space, 0, ""));
  say("finit_module", syscall(SYS_finit_module, 0, "", 0));
  say("delete_module", syscall(SYS_delete_module, "none", 0));
  say("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
  say("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL));
  say("swapon", syscall(SYS_swapon, "/etc/none", 0));
  say("acct", syscall(SYS_acct, "/etc/none"));
  say("settimeofday", syscall(SYS_settimeofday, NULL, NULL));
  say("syslog", syscall(SYS_syslog, 10, NULL, 0));
  say("quotactl", syscall(SYS_quotactl, 0, NULL, 0, NULL));
  say("fanotify_init", syscall(SYS_fanotify_init, 0, 0));
#ifdef __x86_64__
  say("iopl", syscall(SYS_iopl, 3));
  say("ioperm", syscall(SYS_ioperm, 0x70, 1, 1));
#endif
  say("personality", syscall(SYS_personality, 0x0040000 /* ADDR_NO_RANDOMIZE */));
  say("socket vsock", socket(40, SOCK_STREAM, 0));
  say("socket alg", socket(38, SOCK_SEQPACKET, 0));
  return 0;
}

static int is_ours(const char *pid, char *name, size_t size) {
  char path[300];
  snprintf(path, sizeof path, "/proc/%s/comm", pid);
  FILE *file = fopen(path, "r");
  if (file == NULL || fgets(name, (int)size, file) == NULL) name[0] = 0;
  if (file != NULL) fclose(file);
  name[strcspn(name, "\n")] = 0;
  /* Not naru-init, which is a container's. */
  static const char *const ours[] = {"naru-launcher", "naru-monitor", "naru-waiting", "naru-spare", "naru-exec", "naru-pause", "naru-unpack"};
  for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
    if (strncmp(name, ours[i], strlen(ours[i])) == 0) return 1;
  return 0;
}

/* Every way into a process of ours: its files, its root, its memory, its registers, its descriptors. */
static int look_at_host(void) {
  static const char *const ways[] = {"root", "cwd", "exe", "mem", "environ", "fd/0", "fd/3", "ns/mnt", "maps", "fdinfo/0"};
  int seen = 0, reached = 0;
  DIR *processes = opendir("/proc");
  for (struct dirent *entry; processes != NULL && (entry = readdir(processes)) != NULL;) {
    char name[32], path[300];
    if (atoi(entry->d_name) == 0 || !is_ours(entry->d_name, name, sizeof name)) continue;
    seen++;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
      snprintf(path, sizeof path, "/proc/%s/%s", entry->d_name, ways[i]);
      char byte;
      int fd = open(path, strcmp(ways[i], "mem") == 0 ? O_RDWR : O_RDONLY);
      /* Some let themselves be opened, and say nothing. */
      int open_only = fd >= 0 && (strcmp(ways[i], "environ") == 0 || strcmp(ways[i], "maps") == 0) && read(fd, &byte, 1) <= 0;
      if (fd >= 0 && !open_only) printf("REACHED %s of %s\n", ways[i], name), reached++;
      if (fd >= 0) close(fd);
    }
    pid_t pid = atoi(entry->d_name);
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) printf("REACHED registers of %s\n", name), reached++;
    if (syscall(SYS_process_vm_readv, pid, &local, 1, &remote, 1, 0) >= 0) printf("REACHED memory of %s\n", name), reached++;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd >= 0 && syscall(SYS_pidfd_getfd, pidfd, 0, 0) >= 0) printf("REACHED a descriptor of %s\n", name), reached++;
  }
  printf("seen: %s\nreached: %d\n", seen > 1 ? "yes" : "no", reached);
  return 0;
}

/* Its root is another one than the container's from then on. */
static _Noreturn void change_root(const char *path) {
  if (chroot(path) != 0 || chdir("/") != 0) printf("chroot: %s\n", strerror(errno));
  printf("ready\n");
  for (;;) pause();
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1 && strcmp(argv[1], "host") == 0) return look_at_host();
  if (argc > 2 && strcmp(argv[1], "chroot") == 0) change_root(argv[2]);
  return call();
}
