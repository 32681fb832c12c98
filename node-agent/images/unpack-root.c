// Where a command's files are: a directory, an image's layers, those below what takes the changes, or a process' own view.
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Places for two roots on a file system of their own, which becomes "/" in the end. /proc is there on every machine, and in every
// container; it is covered in our mount namespace only.
static const char *const places[] = {"/proc/0", "/proc/1"};
static size_t places_used;

static void make_places(void) {
  if (mount("tmpfs", "/proc", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=64k,mode=0700") != 0) fail_errno("mount", "a place for roots");
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
    if (mkdir(places[i], 0700) != 0) fail_errno("make", places[i]);
}

static int open_place(void) {
  int fd = open(places[places_used++], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_errno("open", "a root");
  return fd;
}

static int bind(const char *path, unsigned long flags) {
  if (mount(path, places[places_used], NULL, MS_BIND | flags, NULL) != 0) fail_errno("open", path);
  const unsigned long kept = MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC;
  if (mount(NULL, places[places_used], NULL, kept, NULL) != 0) fail_errno("remount", path);
  return open_place();
}

// The part before the next colon; `rest` goes behind it.
static char *take_part(char **rest) {
  char *part = *rest;
  char *colon = strchr(part, ':');
  if (colon == NULL) fail("system", "was given half a place");
  *colon = 0;
  *rest = colon + 1;
  return part;
}

static int mount_overlay(const char *options) {
  if (mount("overlay", places[places_used], "overlay", MS_NOSUID | MS_NODEV | MS_NOEXEC, options) != 0) fail_errno("mount layers", options);
  return open_place();
}

static int open_layers(char *rest) {
  const char *links = take_part(&rest);
  if (chdir(links) != 0) fail_errno("enter", links);
  // overlayfs wants two layers at least.
  if (strchr(rest, ':') == NULL) return bind(rest, 0);
  char options[4096];
  if ((size_t)snprintf(options, sizeof options, "lowerdir=%s", rest) >= sizeof options) fail("bad", "has too many layers to mount");
  return mount_overlay(options);
}

static int open_over(char *rest) {
  const char *links = take_part(&rest);
  const char *upper = take_part(&rest);
  const char *work = take_part(&rest);
  if (chdir(links) != 0) fail_errno("enter", links);
  char options[4096];
  // What moves is copied: a layer that pointed to another's directory would be no layer by itself.
  int size = snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=off,metacopy=off,index=off,volatile",
                      rest, upper, work);
  if ((size_t)size >= sizeof options) fail("bad", "has too many layers to mount");
  return mount_overlay(options);
}

static int open_process(const char *pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%.20s/ns/mnt", pid);
  int space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0) fail_errno("open", path);
  snprintf(path, sizeof path, "/proc/%.20s/root", pid);
  int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) fail_errno("open", path);
  // Its "/" is ours then, with its mounts, and nothing of the machine's is in sight: not the namespace's own root either, which is
  // another one below a chroot. What we do to mounts is done in a copy.
  if (setns(space, CLONE_NEWNS) != 0 || fchdir(root) != 0 || chroot(".") != 0) fail_errno("enter the mounts of process", pid);
  close(space);
  close(root);
  enter_mount_namespace();
  make_places();
  return bind("/", MS_REC);
}

int open_root(const char *word) {
  static char copies[2][path_bytes_max];
  if (places_used == 2 || strlen(word) >= path_bytes_max) fail("system", "was given too many places");
  char *rest = strcpy(copies[places_used], word);
  const char *kind = take_part(&rest);
  if (strcmp(kind, "process") == 0) return open_process(rest);
  if (places_used == 0) make_places();
  if (strcmp(kind, "dir") == 0) return bind(rest, 0);
  if (strcmp(kind, "layers") == 0) return open_layers(rest);
  if (strcmp(kind, "over") == 0) return open_over(rest);
  fail("system", "knows no place %s", kind);
}

void make_empty_root(void) { make_places(); }

void leave_machine(void) {
  if (chdir("/proc") != 0) fail_errno("enter", "the place of roots");
  if (syscall(SYS_pivot_root, ".", ".") != 0) fail_errno("pivot_root to", "the place of roots");
  if (umount2(".", MNT_DETACH) != 0) fail_errno("leave the old root for", "the place of roots");
  if (chdir("/") != 0) fail_errno("enter", "/");
}
