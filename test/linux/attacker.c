/* Runs as a container's program and tries the known ways out. Each attack is a function and a line of the table at the end; what it
   prints, one line per try, is what a test compares with what must happen. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *outcome(long result) { return result >= 0 ? "allowed" : strerror(errno); }

static void say(const char *what, long result) { printf("%s: %s\n", what, outcome(result)); }

/* --- processes that come into the container --------------------------------------------------------------------------- */

struct hunt {
  int seen, hidden, bare, traced, memory, files, launcher, unsealed, written;
};

static void try_launcher(const char *exe, struct hunt *hunt) {
  hunt->launcher++;
  int file = open(exe, O_RDONLY);
  int seals = file < 0 ? 0 : fcntl(file, F_GET_SEALS);
  if (file >= 0 && (seals < 0 || !(seals & F_SEAL_WRITE))) hunt->unsealed++;
  close(file);
  int flags[] = {O_WRONLY, O_RDWR, O_WRONLY | O_TRUNC, O_WRONLY | O_APPEND};
  for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
    int fd = open(exe, flags[i]);
    if (fd < 0) continue;
    if (write(fd, "#!/bin/sh\n", 10) > 0 || ftruncate(fd, 0) == 0) hunt->written++;
    close(fd);
  }
}

/* It may still finish the system call that it is in. */
static bool stops(pid_t pid) {
  char path[64], text[128];
  for (int tries = 0; tries < 2000; tries++) {
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY);
    ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) close(fd);
    if (size <= 0) return false;
    text[size] = 0;
    char *state = strrchr(text, ')');
    if (state != NULL && (state[2] == 'T' || state[2] == 't')) return true;
    sched_yield();
  }
  return false;
}

static int open_files(pid_t pid) {
  char path[400];
  int opened = 0;
  snprintf(path, sizeof path, "/proc/%d/fd", pid);
  DIR *files = opendir(path);
  for (struct dirent *entry; files != NULL && (entry = readdir(files)) != NULL;) {
    if (entry->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "/proc/%d/fd/%s", pid, entry->d_name);
    char target[256];
    if (readlink(path, target, sizeof target) >= 0 || open(path, O_RDONLY | O_NONBLOCK) >= 0) opened++;
  }
  if (files != NULL) closedir(files);
  for (const char *const *name = (const char *const[]){"cwd", "root", "ns/mnt", NULL}; *name != NULL; name++) {
    snprintf(path, sizeof path, "/proc/%d/%s", pid, *name);
    if (open(path, O_PATH) >= 0) opened++;
  }
  return opened;
}

/* Stopped in the middle of its way into the container, a process must be a closed box. */
static void try_process(pid_t pid, struct hunt *hunt) {
  char path[64], target[256] = "";
  kill(pid, SIGSTOP);
  hunt->seen++;
  if (!stops(pid)) return;
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  ssize_t size = readlink(path, target, sizeof target - 1);
  if (size < 0 && errno == EACCES) {
    hunt->hidden++;
    char byte;
    struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
    if (process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0) hunt->memory++;
    hunt->files += open_files(pid);
    if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
      hunt->traced++;
      ptrace(PTRACE_DETACH, pid, 0, 0);
    }
  }
  if (size > 0 && strstr(target, "naru-launcher") != NULL) {
    /* Its own name for itself, which exec of the same program as a script's interpreter changes. */
    char name[32] = "", list[64];
    snprintf(list, sizeof list, "/proc/%d/comm", pid);
    int fd = open(list, O_RDONLY);
    if (fd >= 0 && read(fd, name, sizeof name - 1) > 0 && strncmp(name, "naru", 4) == 0) hunt->bare++;
    if (fd >= 0) close(fd);
    try_launcher(path, hunt);
  }
  kill(pid, SIGCONT);
}

/* Lies in wait for processes that enter, for so many ms after the first. */
static int hunt_processes(const char *with) {
  struct hunt hunt = {0};
  long left_ms = atol(with);
  struct timespec pause = {.tv_nsec = 200000};
  printf("ready\n");
  for (struct timespec now, first = {0}; first.tv_sec == 0 || left_ms > 0;) {
    DIR *processes = opendir("/proc");
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
      pid_t pid = atoi(entry->d_name);
      if (pid > 1) try_process(pid, &hunt);
    }
    closedir(processes);
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (hunt.seen > 0 && first.tv_sec == 0) first = now;
    if (first.tv_sec != 0) left_ms = atol(with) - ((now.tv_sec - first.tv_sec) * 1000 + (now.tv_nsec - first.tv_nsec) / 1000000);
    if (hunt.seen == 0) nanosleep(&pause, NULL);
  }
  printf("caught: %s\nhidden: %s\nlauncher: %s\n", hunt.seen > 0 ? "yes" : "no", hunt.hidden > 0 ? "yes" : "no", hunt.launcher > 0 ? "yes" : "no");
  printf("bare: %d\ntraced: %d\nmemory: %d\nfiles: %d\nunsealed: %d\nwritten: %d\n", hunt.bare, hunt.traced, hunt.memory, hunt.files,
         hunt.unsealed, hunt.written);
  return 0;
}

/* --- cgroups, mounts, sysctls ------------------------------------------------------------------------------------------- */

static int try_cgroups(const char *with) {
  (void)with;
  const char *controllers[] = {"memory", "pids", "devices", "rdma", "none,name=escape"};
  mkdir("/cg", 0755);
  for (size_t i = 0; i < sizeof controllers / sizeof controllers[0]; i++) say(controllers[i], mount("cgroup", "/cg", "cgroup", 0, controllers[i]));
  say("cgroup2", mount("cgroup2", "/cg", "cgroup2", 0, NULL));
  /* CVE-2022-0492: in a user namespace of its own everybody may mount, and wrote there. */
  int entered = unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWCGROUP);
  printf("user namespace: %s\n", entered == 0 ? "made" : "refused");
  int mounted = entered == 0 ? mount("cgroup", "/cg", "cgroup", 0, "memory") : -1;
  int agent = mounted == 0 ? open("/cg/release_agent", O_WRONLY) : -1;
  printf("release_agent: %s\n", agent >= 0 && write(agent, "/escape", 7) == 7 ? "WRITTEN" : "refused");
  return 0;
}

static int try_sysctls(const char *with) {
  (void)with;
  const char *paths[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/vm/overcommit_memory",
                         "/proc/sys/net/ipv4/ip_forward", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity",
                         "/sys/kernel/uevent_helper", "/sys/module/kernel/parameters/panic"};
  for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
    int fd = open(paths[i], O_WRONLY);
    printf("%s: %s\n", paths[i], fd >= 0 ? "WRITABLE" : errno == ENOENT ? "absent" : "refused");
  }
  say("remount /proc/sys", mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
  say("unmount /proc/sys", umount2("/proc/sys", MNT_DETACH));
  say("unmount /proc/keys", umount2("/proc/keys", MNT_DETACH));
  say("mount proc", mount("proc", "/mnt", "proc", 0, NULL));
  return 0;
}

/* --- devices ------------------------------------------------------------------------------------------------------------- */

static int try_devices(const char *with) {
  (void)with;
  static const struct {
    const char *name;
    mode_t type;
    unsigned major, minor;
  } nodes[] = {{"mem", S_IFCHR, 1, 1},      {"port", S_IFCHR, 1, 4},    {"kmsg", S_IFCHR, 1, 11},  {"tun", S_IFCHR, 10, 200},
               {"fuse", S_IFCHR, 10, 229},  {"loop-control", S_IFCHR, 10, 237}, {"kvm", S_IFCHR, 10, 232}, {"vda", S_IFBLK, 254, 0},
               {"sda", S_IFBLK, 8, 0},      {"loop0", S_IFBLK, 7, 0},   {"ram0", S_IFBLK, 1, 0},   {"null", S_IFCHR, 1, 3}};
  for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
    char path[64];
    snprintf(path, sizeof path, "/node-%s-%d", nodes[i].name, getpid());
    int made = mknod(path, nodes[i].type | 0600, makedev(nodes[i].major, nodes[i].minor));
    printf("%s: %s, %s\n", nodes[i].name, made == 0 ? "made" : "not made", outcome(open(path, O_RDWR | O_NONBLOCK)));
    unlink(path);
  }
  return 0;
}

/* --- other system call tables ---------------------------------------------------------------------------------------------- */

static int try_tables(const char *with) {
  (void)with;
#ifdef __x86_64__
  int x32 = 0;
  for (long number = 0; number < 600; number++)
    if (syscall(0x40000000 | number, 0, 0, 0, 0, 0, 0) >= 0 || errno != ENOSYS) x32++;
  printf("x32 calls: %d\n", x32);
  static const struct {
    const char *name;
    int number;
  } calls[] = {{"mount", 21},  {"umount2", 52},   {"init_module", 128}, {"keyctl", 288},      {"add_key", 286},
               {"unshare", 310}, {"setns", 346},  {"bpf", 357},          {"kexec_load", 283},  {"pivot_root", 217},  {"reboot", 88},
               {"open_by_handle_at", 342}, {"userfaultfd", 374}, {"perf_event_open", 336}, {"fsopen", 430}, {"clone3", 435}, {"swapon", 87}};
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    long result, first = calls[i].number == 310 ? CLONE_NEWUSER  : 0;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"((long)calls[i].number), "b"(first), "c"(1L), "d"(0L), "S"(0L), "D"(0L) : "memory", "r8", "r9", "r10", "r11");
    printf("i386 %s: %s\n", calls[i].name, result == -EPERM || result == -ENOSYS ? "refused" : result == -ESRCH || result == -EFAULT ? "REACHED" : "DONE");
  }
#endif
  return 0;
}

/* --- keys ---------------------------------------------------------------------------------------------------------------- */

/* "add" puts a key into the session's keyring; "search" looks for another container's. */
static int try_keys(const char *with) {
  if (strcmp(with, "add") == 0) {
    say("add", syscall(SYS_add_key, "user", "naru-secret", "x", 1, KEY_SPEC_SESSION_KEYRING));
    say("find own", syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "naru-secret", 0));
    for (;;) pause();
  }
  say("search", syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "naru-secret", 0));
  return 0;
}

/* Becomes another program, whose session has that key: as a launcher that somebody started by hand. */
static int start_keyed(char **program) {
  syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
  syscall(SYS_add_key, "user", "naru-secret", "x", 1, KEY_SPEC_SESSION_KEYRING);
  execv(program[0], program);
  return 127;
}

/* --- sockets of the host's network ------------------------------------------------------------------------------------------ */

static int list_abstract_sockets(const char *with) {
  (void)with;
  FILE *list = fopen("/proc/net/unix", "r");
  char line[512];
  while (list != NULL && fgets(line, sizeof line, list) != NULL) {
    char *at = strrchr(line, '@');
    if (at == NULL || at == line || at[-1] != ' ') continue;
    at[strcspn(at, "\n")] = 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path + 1, at + 1, strnlen(at + 1, sizeof address.sun_path - 1));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int reached = connect(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(at)));
    printf("%s %s\n", reached == 0 ? "reached" : "seen", at);
    close(fd);
  }
  return 0;
}

/* --- who one is ---------------------------------------------------------------------------------------------------------- */

static int print_status(const char *with) {
  (void)with;
  char line[256];
  FILE *status = fopen("/proc/self/status", "r");
  while (status != NULL && fgets(line, sizeof line, status) != NULL)
    if (strncmp(line, "Uid", 3) == 0 || strncmp(line, "CapEff", 6) == 0 || strncmp(line, "CapBnd", 6) == 0 || strncmp(line, "NoNewPrivs", 10) == 0 ||
        strncmp(line, "Seccomp:", 8) == 0)
      printf("%s", line);
  return 0;
}

static int exec_other(const char *with) {
  execl(with, with, "status", (char *)NULL);
  printf("exec %s: %s\n", with, strerror(errno));
  return 0;
}

/* --- floods -------------------------------------------------------------------------------------------------------------- */

/* Empty files until something says no. */
static int flood_files(const char *with) {
  char path[128];
  for (int i = 0; i < 200000; i++) {
    snprintf(path, sizeof path, "%s/%d", with, i);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    if (fd < 0) {
      printf("%s: refused: %s\n", with, strerror(errno));
      return 0;
    }
    close(fd);
  }
  printf("%s: NO BOUND\n", with);
  return 0;
}

static int flood_bytes(const char *with) {
  static char block[1 << 20];
  char path[128];
  snprintf(path, sizeof path, "%s/flood", with);
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  for (int i = 0; fd >= 0 && i < 256; i++)
    if (write(fd, block, sizeof block) < (ssize_t)sizeof block) {
      printf("%s: refused: %s\n", with, strerror(ENOSPC));
      return 0;
    }
  printf("%s: %s\n", with, fd < 0 ? strerror(errno) : "NO BOUND");
  return 0;
}

static void fork_on(int generations) {
  for (int i = 0; i < generations; i++)
    if (fork() < 0) {
      printf("fork: %s\n", strerror(errno));
      break;
    }
}

static int bomb(const char *with) {
  fork_on(atoi(with));
  if (getpid() != 1) pause();
  sleep(1);
  return 0;
}

/* Text without newlines on both outputs, as fast as they take it. */
static int flood_log(const char *with) {
  static char block[65536];
  memset(block, 'x', sizeof block);
  for (long left = atol(with); left > 0; left -= (long)sizeof block) (void)!write(left % 2 + 1, block, sizeof block);
  return 0;
}

static int show_files(const char *with) {
  struct stat info;
  printf("%s: %s\n", with, stat(with, &info) != 0 ? strerror(errno) : S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3) ? "null" : S_ISDIR(info.st_mode) ? "directory" : "file");
  return 0;
}

/* --- what lies below the root ------------------------------------------------------------------------------------------- */

static void list_all(const char *path) {
  struct dirent **names;
  int count = scandir(path[0] == 0 ? "/" : path, &names, NULL, alphasort);
  for (int i = 0; i < count; i++) {
    if (names[i]->d_name[0] == '.') continue;
    char below[4096];
    snprintf(below, sizeof below, "%s/%.255s", path, names[i]->d_name);
    struct stat info;
    bool folder = lstat(below, &info) == 0 && S_ISDIR(info.st_mode);
    printf("%s%s\n", below, folder ? "/" : "");
    if (folder) list_all(below);
  }
}

/* Out of a root of one's own, up as far as it goes; and with the root taken away, in at the namespace's top again. */
static int look_below(const char *with) {
  int namespace = open("/proc/self/ns/mnt", O_RDONLY);
  if (strcmp(with, "up") == 0) {
    mkdir("/deep", 0755);
    say("chroot", chroot("/deep"));
    for (int i = 0; i < 64; i++) (void)!chdir("..");
    say("my own program", access("attacker", F_OK));
    return 0;
  }
  say("umount", umount2("/", MNT_DETACH));
  say("enter", setns(namespace, CLONE_NEWNS));
  list_all("");
  say("write", mkdir("/new", 0755));
  return 0;
}

static int wait_for_ever(const char *with) {
  (void)with;
  for (;;) pause();
  return 0;
}

static const struct {
  const char *name;
  int (*run)(const char *with);
} attacks[] = {{"hunt", hunt_processes}, {"cgroups", try_cgroups},           {"sysctls", try_sysctls}, {"devices", try_devices},
               {"tables", try_tables},   {"keys", try_keys},                 {"abstract", list_abstract_sockets},
               {"status", print_status}, {"exec", exec_other},               {"files", flood_files},   {"bytes", flood_bytes},
               {"bomb", bomb},           {"log", flood_log},                 {"show", show_files},
               {"below", look_below},    {"wait", wait_for_ever}};

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 2 && strcmp(argv[1], "keyed") == 0) return start_keyed(argv + 2);
  for (size_t i = 0; argc > 1 && i < sizeof attacks / sizeof attacks[0]; i++)
    if (strcmp(argv[1], attacks[i].name) == 0) return attacks[i].run(argc > 2 ? argv[2] : "");
  fprintf(stderr, "attacker: unknown attack\n");
  return 2;
}
