// What the parts of naru-unpack share: the entry of a tar as data, failures, and who does what.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

enum { path_bytes_max = 4096, xattrs_max = 64, file_bytes_max = 1024 * 1024 };

struct xattr {
  const char *name;
  const char *value;
  size_t size;
};

// One file of a tar. Paths are clean: no leading or doubled slashes, no "." and no "..". "" is the root.
struct entry {
  char type;  // ustar's: '0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' directory, '6' fifo
  char path[path_bytes_max];
  char link[path_bytes_max];
  uint64_t size;
  mode_t mode;
  uid_t uid;
  gid_t gid;
  struct timespec mtime;
  unsigned device_major;
  unsigned device_minor;
  struct xattr xattrs[xattrs_max];
  size_t xattr_count;
};

// Every end but success prints one line, "bad|nospace|system <words>", and exits with 1.
_Noreturn void fail(const char *kind, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The same from errno: a full disk is "nospace", a broken disk "system", and anything that a name can provoke "bad".
_Noreturn void fail_errno(const char *action, const char *name);

// unpack-confine.c: a mount namespace of our own, `directory` as "/", capabilities and system calls cut to what is needed.
void enter_mount_namespace(void);
void enter_root(const char *directory);
void drop_privileges(uint64_t capabilities);

// unpack-tree.c: writes entries below the root.
extern int root_fd;
void count_entry(void);
void tree_open(uint64_t entries_max);
// Returns a descriptor to write the data of a regular file to, else -1.
int tree_add(const struct entry *entry);
void tree_finish_file(int fd, const struct entry *entry);
void tree_finish(void);
uint64_t tree_entries(void);
int open_inside(const char *path, uint64_t flags);
// Removes `name` with all below it, however deep; false with errno when something could not be removed.
bool remove_tree(int parent, const char *name);
// The same for what a directory holds; closes `fd`.
bool empty_tree(int fd);

// unpack-tar.c: reads the tar on stdin to its end; returns the bytes of all files.
uint64_t unpack_tar(uint64_t bytes_max);
