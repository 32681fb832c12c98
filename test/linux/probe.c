/* Runs as a container's program in tests and reports what it sees from inside, or behaves as it is told. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static void print_file(const char *label, const char *path) {
  char text[65536];
  int fd = open(path, O_RDONLY);
  if (fd < 0) {
    printf("%s: error %s\n", label, strerror(errno));
    return;
  }
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  text[size > 0 ? size : 0] = 0;
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) printf("%s: %s\n", label, line);
}

static void bool_line(const char *name, int masked) { printf("%s: %s\n", name, masked ? "masked" : "seen"); }

static int report(void) {
  char text[4096];
  printf("pid: %d\nuid: %d\ngid: %d\n", getpid(), getuid(), getgid());
  gid_t groups[64];
  int count = getgroups(64, groups);
  printf("groups:");
  for (int i = 0; i < count; i++) printf(" %d", groups[i]);
  printf("\ncwd: %s\n", getcwd(text, sizeof text));
  gethostname(text, sizeof text);
  printf("hostname: %s\n", text);
  print_file("status", "/proc/self/status");
  print_file("mount", "/proc/self/mountinfo");
  print_file("cgroup", "/proc/self/cgroup");
  print_file("limits", "/proc/self/limits");
  printf("fds:");
  DIR *fds = opendir("/proc/self/fd");
  for (struct dirent *entry; fds != NULL && (entry = readdir(fds)) != NULL;)
    if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(fds)) printf(" %s", entry->d_name);
  printf("\nprocesses:");
  DIR *processes = opendir("/proc");
  for (struct dirent *entry; processes != NULL && (entry = readdir(processes)) != NULL;)
    if (atoi(entry->d_name) > 0) printf(" %s", entry->d_name);
  printf("\n");
  extern char **environ;
  for (char **entry = environ; *entry != NULL; entry++) printf("env: %s\n", *entry);
  return 0;
}

static const char *outcome(long result) { return result >= 0 ? "allowed" : strerror(errno); }

/* What a default container must not be able to do, and a few things that it must. */
static int forbidden(void) {
  printf("mount: %s\n", outcome(mount("none", "/tmp", "tmpfs", 0, NULL)));
  printf("keyctl: %s\n", outcome(syscall(SYS_keyctl, 0, -3, 0, 0, 0)));
  printf("unshare: %s\n", outcome(unshare(CLONE_NEWUSER)));
  printf("clone: %s\n", outcome(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0)));
  printf("clone3: %s\n", outcome(syscall(SYS_clone3, NULL, 0)));
  printf("bpf: %s\n", outcome(syscall(SYS_bpf, 0, NULL, 0)));
  printf("vsock: %s\n", outcome(socket(40, SOCK_STREAM, 0)));
  printf("inet: %s\n", outcome(socket(AF_INET, SOCK_STREAM, 0)));
#ifdef __x86_64__
  printf("x32 getpid: %s\n", outcome(syscall(0x40000000 | SYS_getpid)));
  /* The same through the 32-bit entry: 21 is mount there, 20 getpid. */
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(21L), "b"(0L), "c"(0L), "d"(0L), "S"(0L), "D"(0L) : "memory", "r8", "r9", "r10", "r11");
  errno = (int)-result;
  printf("i386 mount: %s\n", outcome(result < 0 ? -1 : 0));
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
  printf("i386 getpid: %s\n", result > 0 ? "allowed" : "refused");
#endif
  printf("sysctl: %s\n", outcome(open("/proc/sys/kernel/hostname", O_WRONLY)));
  struct stat info;
  bool_line("keys", stat("/proc/keys", &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3));
  DIR *firmware = opendir("/sys/firmware");
  int names = 0;
  while (firmware != NULL && readdir(firmware) != NULL) names++;
  printf("firmware: %s\n", firmware == NULL || names <= 2 ? "masked" : "seen");
  printf("sysfs: %s\n", outcome(open("/sys/kernel/uevent_seqnum", O_WRONLY)));
  mknod("/tmp-disk", S_IFBLK | 0600, makedev(254, 0));
  printf("disk: %s\n", outcome(open("/tmp-disk", O_RDONLY)));
  mknod("/tmp-null", S_IFCHR | 0600, makedev(1, 3));
  printf("null: %s\n", outcome(open("/tmp-null", O_RDWR)));
  return 0;
}

static int eat_memory(void) {
  for (;;) {
    char *memory = malloc(1 << 20);
    if (memory == NULL) return 3;
    memset(memory, 1, 1 << 20);
  }
}

/* Of 2 MiB each, one after the other. */
static int take_huge_pages(int wanted) {
  for (int taken = 0; taken < wanted; taken++) {
    char *page = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if (page == MAP_FAILED) return 3;
    *page = 1;
  }
  return 0;
}

static int fork_many(int wanted) {
  int made = 0;
  for (; made < wanted; made++) {
    pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      pause();
      _exit(0);
    }
  }
  printf("forked %d%s\n", made, made < wanted ? ", then refused" : "");
  return 0;
}

static void on_term(int number) {
  (void)number;
  _exit(7);
}

static int copy_stdin(void) {
  char text[4096];
  size_t total = 0;
  for (ssize_t size; (size = read(0, text, sizeof text)) > 0; total += (size_t)size) (void)!write(1, text, (size_t)size);
  fprintf(stderr, "end after %zu\n", total);
  return 0;
}

static void look_at(const char *path) {
  struct stat info;
  if (lstat(path, &info) != 0) {
    printf("stat %s: %s\n", path, strerror(errno));
    return;
  }
  const char *type = S_ISDIR(info.st_mode) ? "directory" : S_ISREG(info.st_mode) ? "file" : S_ISLNK(info.st_mode) ? "link"
                     : S_ISSOCK(info.st_mode) ? "socket" : S_ISCHR(info.st_mode) ? "c" : S_ISBLK(info.st_mode) ? "b" : "other";
  printf("stat %s: %s %04o %d:%d\n", path, type, info.st_mode & 07777, info.st_uid, info.st_gid);
}

static void list(const char *path) {
  struct dirent **entries;
  int count = scandir(path, &entries, NULL, alphasort);
  if (count < 0) {
    printf("list %s: %s\n", path, strerror(errno));
    return;
  }
  printf("list %s:", path);
  for (int i = 0; i < count; i++)
    if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0) printf(" %s", entries[i]->d_name);
  printf("\n");
}

static void file_system(const char *path) {
  struct statfs info;
  if (statfs(path, &info) != 0) {
    printf("fs %s: %s\n", path, strerror(errno));
    return;
  }
  const char *type = info.f_type == TMPFS_MAGIC ? "tmpfs" : info.f_type == OVERLAYFS_SUPER_MAGIC ? "overlay" : "disk";
  printf("fs %s: %s %llu\n", path, type, (unsigned long long)info.f_blocks * (unsigned long long)info.f_bsize);
}

static void fill(const char *path) {
  static char block[1 << 20];
  memset(block, 1, sizeof block);
  int fd = open(path, O_WRONLY | O_CREAT, 0644), i = 0;
  while (i < 64 && fd >= 0 && write(fd, block, sizeof block) == sizeof block) i++;
  printf("fill %s: %s\n", path, i == 64 ? "64 MiB" : strerror(errno));
  if (fd >= 0) close(fd);
}

static void put(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  printf("write %s: %s\n", path, fd < 0 ? strerror(errno) : write(fd, "written\n", 8) == 8 ? "allowed" : strerror(errno));
  if (fd >= 0) close(fd);
}

/* Two names take each other's place, over and over. */
static int swap_for_ever(const char *one, const char *other) {
  printf("ready\n");
  for (;;) {
    if (syscall(SYS_renameat2, AT_FDCWD, one, AT_FDCWD, other, 2 /* RENAME_EXCHANGE */) != 0) {
      printf("swap: %s\n", strerror(errno));
      return 1;
    }
  }
}

/* Words in turns: an action and a path. What each gave is a line of its own. */
static int files(char **words) {
  for (; words[0] != NULL && words[1] != NULL; words += 2) {
    const char *what = words[0], *path = words[1];
    char label[4200];
    snprintf(label, sizeof label, "read %s", path);
    if (strcmp(what, "read") == 0) print_file(label, path);
    else if (strcmp(what, "stat") == 0) look_at(path);
    else if (strcmp(what, "list") == 0) list(path);
    else if (strcmp(what, "write") == 0) put(path);
    else if (strcmp(what, "fs") == 0) file_system(path);
    else if (strcmp(what, "fill") == 0) fill(path);
    else if (strcmp(what, "mkdir") == 0) printf("mkdir %s: %s\n", path, outcome(mkdir(path, 0755)));
    else if (strcmp(what, "tmpfs") == 0) printf("tmpfs %s: %s\n", path, outcome(mount("tmpfs", path, "tmpfs", 0, NULL)));
    else if (strcmp(what, "proc") == 0) printf("proc %s: %s\n", path, outcome(mount("proc", path, "proc", 0, NULL)));
    else if (strcmp(what, "umount") == 0) printf("umount %s: %s\n", path, outcome(umount2(path, MNT_DETACH)));
    else if (strcmp(what, "remount") == 0) printf("remount %s: %s\n", path, outcome(mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL)));
    else if (strcmp(what, "chown") == 0) printf("chown %s: %s\n", path, outcome(chown(path, 1234, 1234)));
    else if (strcmp(what, "id") == 0) printf("id: %d:%d\n", getuid(), getgid());
    else if (strcmp(what, "wait") == 0) for (struct stat info; stat(path, &info) != 0;) usleep(10000);
    else return 2;
  }
  return 0;
}

static int terminal(void) {
  struct winsize size = {0};
  ioctl(0, TIOCGWINSZ, &size);
  printf("terminal %d %d %d, %s, %dx%d\n", isatty(0), isatty(1), isatty(2), ttyname(0) == NULL ? "?" : ttyname(0), size.ws_col, size.ws_row);
  fflush(stdout);
  char line[256];
  if (fgets(line, sizeof line, stdin) != NULL) printf("got %s", line);
  ioctl(0, TIOCGWINSZ, &size);
  printf("now %dx%d\n", size.ws_col, size.ws_row);
  return 5;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "report";
  const char *with = argc > 2 ? argv[2] : "0";
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (strcmp(what, "report") == 0) return report();
  if (strcmp(what, "exit") == 0) return atoi(with);
  if (strcmp(what, "kill") == 0) {
    /* The first process of a pid namespace ignores its own signals, so a child would have to: raise through a real fault. */
    raise(atoi(with));
    __builtin_trap();
  }
  if (strcmp(what, "print") == 0) {
    printf("%s\n", with);
    fprintf(stderr, "%s on stderr\n", with);
    return 0;
  }
  if (strcmp(what, "forbidden") == 0) return forbidden();
  if (strcmp(what, "memory") == 0) return eat_memory();
  if (strcmp(what, "huge-pages") == 0) return take_huge_pages(atoi(with));
  if (strcmp(what, "fork") == 0) return fork_many(atoi(with));
  if (strcmp(what, "cat") == 0) return copy_stdin();
  if (strcmp(what, "terminal") == 0) return terminal();
  if (strcmp(what, "files") == 0) return files(argv + 2);
  if (strcmp(what, "swap") == 0 && argc == 4) return swap_for_ever(argv[2], argv[3]);
  if (strcmp(what, "flood") == 0) {
    char line[1024];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    for (long left = atol(with); left > 0; left -= (long)sizeof line) (void)!write(1, line, sizeof line);
    return 0;
  }
  if (strcmp(what, "write") == 0) {
    int fd = open(with, O_WRONLY | O_CREAT, 0600);
    printf("write %s: %s\n", with, outcome(fd));
    return fd < 0;
  }
  if (strcmp(what, "sleep") == 0) {
    signal(SIGTERM, on_term);
    printf("ready\n");
    for (;;) pause();
  }
  if (strcmp(what, "stubborn") == 0) {
    signal(SIGTERM, SIG_IGN);
    printf("ready\n");
    for (;;) pause();
  }
  fprintf(stderr, "probe: unknown %s\n", what);
  return 2;
}
