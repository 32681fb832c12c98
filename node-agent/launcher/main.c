/* The launcher's commands: serve, once, netns-run, netns-connect, netlink, and below-chroot. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static char *title;
static size_t title_size;

void set_title(const char *text) {
  if (title_size == 0) return;
  memset(title, 0, title_size);
  snprintf(title, title_size, "%s", text);
  prctl(PR_SET_NAME, text);
}

/* Containers' processes are copies of this one until they exec, so they could reach its file through /proc/self/exe
   (CVE-2019-5736). They get a sealed copy in memory instead, which nobody can write to. */
static void become_sealed_copy(char **argv) {
  int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
  if (self < 0) goto failed;
  int seals = fcntl(self, F_GET_SEALS);
  if (seals >= 0 && (seals & F_SEAL_WRITE)) {
    close(self);
    return;
  }
  int copy = memfd_create("naru-launcher", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  struct stat info;
  if (copy < 0 || fstat(self, &info) != 0) goto failed;
  for (off_t left = info.st_size; left > 0;) {
    ssize_t sent = sendfile(copy, self, NULL, (size_t)left);
    if (sent <= 0) goto failed;
    left -= sent;
  }
  if (fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) goto failed;
  extern char **environ;
  syscall(SYS_execveat, copy, "", argv, environ, AT_EMPTY_PATH);
failed:
  fprintf(stderr, "naru-launcher: make a sealed copy of itself: %s\n", strerror(errno));
  exit(1);
}

static int netns_run(const char *path, char **argv) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET) != 0) {
    fprintf(stderr, "naru-launcher: enter network namespace %s: %s\n", path, strerror(errno));
    return 125;
  }
  execvp(argv[0], argv);
  fprintf(stderr, "naru-launcher: exec %s: %s\n", argv[0], strerror(errno));
  return errno == ENOENT ? 127 : 126;
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "serve") == 0) {
    become_sealed_copy(argv);
    /* Nothing in a container may look into a process that is on its way there. */
    prctl(PR_SET_DUMPABLE, 0);
    char *run_directory = strdup(argv[2]);
    char *containers_directory = strdup(argv[3]);
    if (run_directory == NULL || containers_directory == NULL) return 1;
    title = argv[0];
    title_size = (size_t)(argv[argc - 1] + strlen(argv[argc - 1]) - argv[0]);
    return serve(run_directory, containers_directory);
  }
  if (argc >= 5 && strcmp(argv[1], "netns-run") == 0 && strcmp(argv[3], "--") == 0) return netns_run(argv[2], argv + 4);
  if (argc == 4 && strcmp(argv[1], "netns-connect") == 0) return relay_command(argv[2], argv[3]);
  if (argc == 5 && strcmp(argv[1], "once") == 0) {
    become_sealed_copy(argv);
    prctl(PR_SET_DUMPABLE, 0);
    /* Not exit: the leak checker's thread would be born in the pid namespace that was entered, take its parent for dead, and be waited for
       for ever. */
    _exit(once_command(argv[2], argv[3], argv[4]));
  }
  if (argc == 2 && strcmp(argv[1], "netlink") == 0) return netlink_command();
  if (argc == 2 && strcmp(argv[1], "below-chroot") == 0) return below_chroot_command();
  fprintf(stderr,
          "usage: naru-launcher serve <run directory> <containers directory>\n"
          "       naru-launcher netns-run <network namespace's path> -- <command> [<argument>…]\n"
          "       naru-launcher netns-connect <network namespace's path> <port>\n"
          "       naru-launcher once <control's file number> <number of files to pass on> leave|stay\n"
          "       naru-launcher netlink\n"
          "       naru-launcher below-chroot\n");
  return 2;
}
