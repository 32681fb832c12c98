/* Small files, read and written whole: those of /proc and of cgroups, and a container's records. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int write_file(const char *path, const void *data, size_t size) {
  int fd = open_path(path, O_WRONLY);
  if (fd < 0) return -1;
  ssize_t wrote;
  do wrote = write(fd, data, size);
  while (wrote < 0 && errno == EINTR);
  int error = wrote == (ssize_t)size ? 0 : wrote < 0 ? errno : EIO;
  close(fd);
  errno = error;
  return error == 0 ? 0 : -1;
}

uint64_t process_start(pid_t pid) {
  char path[32], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open_path(path, O_RDONLY);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  /* The name may hold spaces and brackets; the last bracket ends it. Then the state, field 3; the start is field 22. */
  char *at = strrchr(text, ')');
  for (int field = 2; at != NULL && field < 22; field++) at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

/* A small file of the container's directory. Its last byte, a newline, says that it is whole. */
int write_record(int directory, const char *name, const char *text) {
  int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -1;
  ssize_t wrote = write(fd, text, strlen(text));
  close(fd);
  return wrote == (ssize_t)strlen(text) ? 0 : -1;
}

uint64_t read_counter(struct field path, struct field key) {
  char text[2048];
  int fd = path.size == 0 ? -1 : open_path(path.data, O_RDONLY);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  for (char *line = text; line != NULL; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, key.data, key.size) == 0 && line[key.size] == ' ') return strtoull(line + key.size + 1, NULL, 10);
  }
  return 0;
}
