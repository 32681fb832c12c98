/* Runs as a container's program and takes of one thing as much as it is told to, or as it can; then it stays, so that what it took
   stays taken. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const long mebibyte = 1 << 20;
static char block[1 << 20];

static long disk(long wanted) {
  long wrote = 0;
  int fd = open("/water", O_WRONLY | O_CREAT | O_APPEND, 0600);
  while (fd >= 0 && wrote < wanted && write(fd, block, sizeof block) == (ssize_t)sizeof block) wrote++;
  return wrote;
}

static long inodes(long wanted) {
  char path[64];
  long made = 0;
  mkdir("/many", 0700);
  for (int fd; made < wanted; made++) {
    snprintf(path, sizeof path, "/many/%ld", made);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    if (fd < 0) break;
    close(fd);
  }
  return made;
}

static long memory(long wanted) {
  for (long taken = 0; taken < wanted; taken++) {
    char *page = mmap(NULL, (size_t)mebibyte, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return taken;
    memset(page, 1, (size_t)mebibyte);
  }
  return wanted;
}

static long processes(long wanted) {
  for (long made = 0; made < wanted; made++) {
    pid_t pid = fork();
    if (pid < 0) return made;
    if (pid == 0)
      for (;;) pause();
  }
  return wanted;
}

static long lines(long wanted) {
  char line[1024];
  memset(line, 'x', sizeof line);
  line[sizeof line - 1] = '\n';
  for (long left = wanted * mebibyte; left > 0; left -= (long)sizeof line)
    if (write(1, line, sizeof line) < 0) return left;
  return wanted;
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    long (*take)(long);
  } floods[] = {{"disk", disk}, {"inodes", inodes}, {"memory", memory}, {"processes", processes}, {"lines", lines}};
  for (size_t i = 0; argc == 3 && i < sizeof floods / sizeof floods[0]; i++) {
    if (strcmp(argv[1], floods[i].name) != 0) continue;
    printf("took %ld\n", floods[i].take(atol(argv[2])));
    fflush(stdout);
    for (;;) pause();
  }
  fprintf(stderr, "usage: flood disk|inodes|memory|processes|lines COUNT\n");
  return 2;
}
