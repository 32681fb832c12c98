// naru-unpack: what the images of a node need from the kernel and Node does not offer. Commands, a ROOT as in unpack-root.c:
//   unpack DIR BYTES_MAX ENTRIES_MAX KEPT   writes the tar on stdin, compressed or not, below DIR, confined to it, whiteouts as overlayfs
//                                      wants them; adds what comes to the file at descriptor 3, which has the first KEPT bytes, unless "-"
//   write ROOT PATH KEEP_KINDS OWNER   the same into a directory of a container, where whiteouts mean nothing; OWNER "uid:gid" or ""
//   probe                              tells whether stdin begins as a tar, compressed or not
//   pack ROOT PATH PREFIX              writes a tar of what lies at PATH, its entries named PREFIX; results and failures go to descriptor 3
//   pack-layer DIR TIME_MAX            the same of a layer's directory, whiteouts as the image specification wants them
//   hash-layer DIR TIME_MAX            only the digest of that tar; files younger than TIME_MAX (unless -1) become that old, and the empty
//                                      files and directories at the paths on stdin go first
//   digest ROOT                        tells what the paths on stdin are, and the digests of their content
//   stat ROOT PATH                     tells what lies at PATH; nothing when nothing does
//   copy FROM_ROOT TO_ROOT             performs the copies on stdin
//   snapshot DIR TO_DIR                copies a layer's directory as it is
//   changes DIR ROOT                   tells what a layer's directory changes of what is below it
//   measure DIR...                     the bytes of the files below each
//   files ROOT PATH...                 prints files of an image
//   empty DIR                          removes all that DIR holds
//   sync DIR                           writes its file system to the disk
// Success prints a last line that starts with "ok"; failure one that starts with "bad", "nospace" or "system".
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct timespec started_at;
enum { files_few = 32, files_deep = 4200 };

static uint64_t capability(int number) { return (uint64_t)1 << number; }

// What it takes to make any file; SYS_ADMIN is what trusted.overlay.opaque takes: the system call filter leaves it nothing else.
static uint64_t writing(void) {
  return capability(CAP_CHOWN) | capability(CAP_DAC_OVERRIDE) | capability(CAP_FOWNER) | capability(CAP_FSETID) | capability(CAP_MKNOD) |
         capability(CAP_SETFCAP) | capability(CAP_SYS_ADMIN);
}

static uint64_t reading(void) { return capability(CAP_DAC_READ_SEARCH) | capability(CAP_SYS_ADMIN); }

static void unpack(char *const *arguments) {
  umask(0);
  enter_mount_namespace();
  enter_root(arguments[0]);
  drop_privileges(writing(), files_few);
  tree_open(strtoull(arguments[2], NULL, 10));
  const bool keeps = strcmp(arguments[3], "-") != 0;
  input_open(&(struct wanted_input){.hashed = true, .keep_fd = keeps ? 3 : -1, .kept_bytes = keeps ? strtoull(arguments[3], NULL, 10) : 0});
  char hex[65], input_hex[65];
  uint64_t bytes_max = strtoull(arguments[1], NULL, 10);
  // Headers and padding of a tar's entries come on top of their bytes.
  uint64_t bytes = unpack_tar(bytes_max, bytes_max + strtoull(arguments[2], NULL, 10) * 4096, hex);
  tree_finish();
  input_end(input_hex);
  say("ok %llu %llu %s %s\n", (unsigned long long)tree_entries(), (unsigned long long)bytes, hex, input_hex);
}

// Opens what a command works on, and leaves everything else behind.
static void enter(const char *root, const char *other, int *other_fd) {
  clock_gettime(CLOCK_REALTIME, &started_at);
  umask(0);
  enter_mount_namespace();
  if (other != NULL) *other_fd = open_root(other);
  int fd = open_root(root);
  leave_machine();
  tree_enter(fd);
}

static void write_into(char *const *arguments) {
  const char *owner = arguments[3];
  struct placing placing = {.plain = true, .keep_kinds = *arguments[2] == '1', .has_owner = *owner != 0};
  if (placing.has_owner) {
    char *end;
    placing.uid = (uid_t)strtoul(owner, &end, 10);
    placing.gid = *end == 0 ? 0 : (gid_t)strtoul(end + 1, NULL, 10);
  }
  enter(arguments[0], NULL, NULL);
  drop_privileges(writing(), files_few);
  int fd = open_inside(arguments[1], O_RDONLY | O_DIRECTORY);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) fail("bad", "no such directory");
  if (fd < 0) fail_errno("open", arguments[1]);
  tree_enter(fd);
  tree_place(&placing);
  input_open(&(struct wanted_input){.keep_fd = -1});
  unpack_tar(UINT64_MAX / 2, UINT64_MAX / 2, NULL);
  tree_finish();
  input_end((char[65]){0});
  say("ok\n");
}

static void probe(char *const *arguments) {
  (void)arguments;
  enter_mount_namespace();
  make_empty_root();
  leave_machine();
  drop_privileges(0, files_few);
  input_open(&(struct wanted_input){.keep_fd = -1});
  if (!begins_tar()) fail("bad", "is no tar");
  say("ok\n");
}

static void pack(const struct packing *packing) {
  char hex[65];
  uint64_t bytes;
  if (pack_tar(packing, hex, &bytes)) say("ok %s %llu\n", hex, (unsigned long long)bytes);
  else say("ok\n");
}

static void pack_path(char *const *arguments) {
  result_fd = 3;
  enter(arguments[0], NULL, NULL);
  drop_privileges(reading(), files_deep);
  pack(&(struct packing){.path = arguments[1], .prefix = arguments[2], .output = 1, .time_max = -1});
}

static void pack_layer(char *const *arguments) {
  result_fd = 3;
  enter(arguments[0], NULL, NULL);
  drop_privileges(reading(), files_deep);
  pack(&(struct packing){.layer = true, .path = "", .prefix = "", .output = 1, .time_max = strtoll(arguments[1], NULL, 10)});
}

static void hash_layer(char *const *arguments) {
  enter(arguments[0], NULL, NULL);
  drop_privileges(reading() | capability(CAP_FOWNER) | capability(CAP_DAC_OVERRIDE), files_deep);
  clear_stubs();
  pack(&(struct packing){.layer = true, .path = "", .prefix = "", .output = -1, .time_max = strtoll(arguments[1], NULL, 10)});
}

static void digest(char *const *arguments) {
  enter(arguments[0], NULL, NULL);
  drop_privileges(reading(), files_deep);
  print_digests();
  start_line();
  say("ok\n");
}

static void tell_stat(char *const *arguments) {
  enter(arguments[0], NULL, NULL);
  drop_privileges(reading(), files_few);
  print_stat(arguments[1]);
  start_line();
  say("ok\n");
}

static void copy(char *const *arguments) {
  int source = -1;
  enter(arguments[1], arguments[0], &source);
  drop_privileges(writing() | reading(), files_few);
  tree_place(&(struct placing){.plain = true, .keep_kinds = true});
  copy_files(source);
  tree_finish();
  say("ok %llu\n", (unsigned long long)tree_entries());
}

static void snapshot(char *const *arguments) {
  int source = -1;
  enter(arguments[1], arguments[0], &source);
  drop_privileges(writing() | reading(), files_deep);
  tree_place(&(struct placing){.plain = true});
  copy_tree(source);
  tree_finish();
  say("ok\n");
}

static void changes(char *const *arguments) {
  int lower = -1;
  enter(arguments[0], arguments[1], &lower);
  drop_privileges(reading(), files_deep);
  print_changes(lower);
  start_line();
  say("ok\n");
}

static void measure(char *const *arguments) {
  enter_mount_namespace();
  drop_privileges(reading(), files_deep);
  for (; *arguments != NULL; arguments++) {
    uint64_t entries;
    int fd = open(*arguments, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) tree_enter(fd);
    say("%llu\n", fd < 0 ? 0ULL : (unsigned long long)measure_tree(&entries));
    if (fd >= 0) close(fd);
  }
  say("ok\n");
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
  write_out(content, size);
}

static void files(char *const *arguments) {
  enter(arguments[0], NULL, NULL);
  drop_privileges(capability(CAP_DAC_READ_SEARCH), files_few);
  for (char *const *path = arguments + 1; *path != NULL; path++) print_file(*path);
  start_line();
  say("ok\n");
}

static void empty(char *const *arguments) {
  enter_mount_namespace();
  // Nothing is above it then, whatever is moved about meanwhile.
  enter_root(arguments[0]);
  drop_privileges(capability(CAP_DAC_OVERRIDE) | capability(CAP_FOWNER), files_few);
  int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_errno("open", arguments[0]);
  if (!empty_tree(fd)) fail_errno("empty", arguments[0]);
  say("ok\n");
}

static void sync_file_system(char *const *arguments) {
  int fd = open(arguments[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail_errno("open", arguments[0]);
  drop_privileges(0, files_few);
  if (syncfs(fd) != 0) fail_errno("sync", arguments[0]);
  say("ok\n");
}

static const struct command {
  const char *name;
  int least;
  int most;
  void (*run)(char *const *arguments);
} commands[] = {
    {"unpack", 4, 4, unpack},         {"write", 4, 4, write_into},     {"pack", 3, 3, pack_path},   {"pack-layer", 2, 2, pack_layer},
    {"probe", 0, 0, probe},           {"hash-layer", 2, 2, hash_layer}, {"digest", 1, 1, digest},        {"stat", 2, 2, tell_stat}, {"copy", 2, 2, copy},        {"snapshot", 2, 2, snapshot},
    {"changes", 2, 2, changes},       {"measure", 1, 10000, measure},  {"files", 2, 10000, files},  {"empty", 1, 1, empty},
    {"sync", 1, 1, sync_file_system},
};

int main(int count, char **arguments) {
  for (size_t i = 0; count > 1 && i < sizeof commands / sizeof commands[0]; i++) {
    const struct command *command = &commands[i];
    if (strcmp(arguments[1], command->name) != 0 || count - 2 < command->least || count - 2 > command->most) continue;
    command->run(arguments + 2);
    flush_out();
    return 0;
  }
  fail("system", "naru-unpack does not know what it is asked for; its source says what it takes");
}
