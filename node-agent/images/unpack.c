// naru-unpack: what the images of a node need from the kernel and Node does not offer. Commands:
//   unpack DIR BYTES_MAX ENTRIES_MAX   writes the tar on stdin below DIR, confined to it, whiteouts as overlayfs wants them
//   files LINKS MOUNTPOINT LAYERS PATH...   prints files of an image whose layers ("3:1:0", top first) lie in LINKS
//   empty DIR   removes all that DIR holds
//   sync DIR    writes its file system to the disk
// Success prints one line that starts with "ok"; failure one that starts with "bad", "nospace" or "system".
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static void write_all(const char *text, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t wrote = write(1, text + done, size - done);
    if (wrote <= 0) _exit(1);
    done += (size_t)wrote;
  }
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
  char line[512];
  va_list arguments;
  va_start(arguments, format);
  int size = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  write_all(line, size < (int)sizeof line ? (size_t)size : sizeof line - 1);
}

_Noreturn void fail(const char *kind, const char *format, ...) {
  char words[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(words, sizeof words, format, arguments);
  va_end(arguments);
  // Names come from strangers and end up on terminals.
  for (char *at = words; *at != 0; at++)
    if (*at < ' ' || *at > '~') *at = '?';
  write_all(kind, strlen(kind));
  write_all(" ", 1);
  write_all(words, strlen(words));
  write_all("\n", 1);
  _exit(1);
}

_Noreturn void fail_errno(const char *action, const char *name) {
  int reason = errno;
  const char *kind = "bad";
  if (reason == ENOSPC || reason == EDQUOT) kind = "nospace";
  if (reason == EIO || reason == EROFS || reason == EMFILE || reason == ENFILE || reason == ENOMEM || root_fd < 0)
    kind = reason == ENOSPC || reason == EDQUOT ? "nospace" : "system";
  fail(kind, "%s %.600s: %s", action, name, strerror(reason));
}

static uint64_t capability(int number) { return (uint64_t)1 << number; }

static int unpack(const char *directory, const char *bytes_max, const char *entries_max) {
  umask(0);
  enter_mount_namespace();
  enter_root(directory);
  // SYS_ADMIN is what trusted.overlay.opaque takes; the system call filter leaves it nothing else to do.
  drop_privileges(capability(CAP_CHOWN) | capability(CAP_DAC_OVERRIDE) | capability(CAP_FOWNER) | capability(CAP_FSETID) |
                  capability(CAP_MKNOD) | capability(CAP_SETFCAP) | capability(CAP_SYS_ADMIN));
  tree_open(strtoull(entries_max, NULL, 10));
  uint64_t bytes = unpack_tar(strtoull(bytes_max, NULL, 10));
  tree_finish();
  say("ok %llu %llu\n", (unsigned long long)tree_entries(), (unsigned long long)bytes);
  return 0;
}

// Prints "SIZE\n" and the bytes; "-1\n" when the image has no such plain file.
static void print_file(const char *path) {
  static char content[file_bytes_max];
  int fd = open_inside(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  struct stat status;
  if (fd < 0 || fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    if (fd >= 0) close(fd);
    say("-1\n");
    return;
  }
  if (status.st_size > file_bytes_max) fail("bad", "has %s of more than %d bytes", path, file_bytes_max);
  size_t size = 0;
  for (ssize_t got; size < sizeof content && (got = read(fd, content + size, sizeof content - size)) > 0;) size += (size_t)got;
  close(fd);
  say("%zu\n", size);
  write_all(content, size);
}

static int files(const char *links, const char *mountpoint, const char *layers, char *const *paths) {
  enter_mount_namespace();
  if (chdir(links) != 0) fail_errno("enter", links);
  const unsigned long flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  // overlayfs wants two layers at least.
  if (strchr(layers, ':') == NULL) {
    if (mount(layers, mountpoint, NULL, MS_BIND, NULL) != 0) fail_errno("mount layer", layers);
  } else {
    char options[4096];
    if ((size_t)snprintf(options, sizeof options, "lowerdir=%s", layers) >= sizeof options)
      fail("bad", "has too many layers to mount");
    if (mount("overlay", mountpoint, "overlay", flags, options) != 0) fail_errno("mount layers", layers);
  }
  enter_root(mountpoint);
  drop_privileges(capability(CAP_DAC_READ_SEARCH));
  tree_open(0);
  say("ok\n");
  for (; *paths != NULL; paths++) print_file(*paths);
  return 0;
}

static int empty(const char *directory) {
  int fd = open(directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) fail_errno("open", directory);
  if (!empty_tree(fd)) fail_errno("empty", directory);
  say("ok\n");
  return 0;
}

static int sync_file_system(const char *directory) {
  int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_errno("open", directory);
  if (syncfs(fd) != 0) fail_errno("sync", directory);
  say("ok\n");
  return 0;
}

int main(int count, char **arguments) {
  const char *command = count > 1 ? arguments[1] : "";
  if (count == 5 && strcmp(command, "unpack") == 0) return unpack(arguments[2], arguments[3], arguments[4]);
  if (count >= 6 && strcmp(command, "files") == 0) return files(arguments[2], arguments[3], arguments[4], arguments + 5);
  if (count == 3 && strcmp(command, "empty") == 0) return empty(arguments[2]);
  if (count == 3 && strcmp(command, "sync") == 0) return sync_file_system(arguments[2]);
  fail("system", "naru-unpack takes: unpack DIR BYTES_MAX ENTRIES_MAX | files LINKS MOUNTPOINT LAYERS PATH... | empty DIR | sync DIR");
}
