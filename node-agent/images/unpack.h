// What the parts of naru-unpack share: the entry of a tar as data, failures, and who does what.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
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
// `files_max`: descriptors that it may hold.
void drop_privileges(uint64_t capabilities, unsigned files_max);

// When the command began.
extern struct timespec started_at;

// unpack-tree.c: writes entries below the root.
extern int root_fd;
void count_entry(void);
void tree_open(uint64_t entries_max);
// With a root that is open, and any number of entries.
void tree_enter(int fd);
// Returns a descriptor to write the data of a regular file to, else -1.
int tree_add(struct entry *entry);
void tree_finish_file(int fd, const struct entry *entry);
void tree_finish(void);
uint64_t tree_entries(void);
// Symlinks and ".." lead nowhere out of the root.
int open_inside(const char *path, uint64_t flags);
int open_below(int root, const char *path, uint64_t flags);
// How entries are added; all false: as a layer's.
struct placing {
  // Names of whiteouts mean nothing.
  bool plain;
  // A directory never takes a file's place, nor a file a directory's; directories that are there stay as they are.
  bool keep_kinds;
  // All belongs to this owner.
  bool has_owner;
  uid_t uid;
  gid_t gid;
};
void tree_place(const struct placing *placing);
// Splits into the path of the directory and the name in it.
const char *split(const char *path, char *directory);
// Descriptor of the directory at `path`, made with those above it when it is not there; stays ours.
int open_parent(const char *path);
enum place { place_free, place_directory, place_whiteout };
// Makes `name` free; a directory stays when a directory is wanted.
enum place clear_place(int parent, const char *name, const char *path, bool want_directory);
void set_attributes(int fd, const struct entry *entry);
// Removes `name` with all below it, however deep; false with errno when something could not be removed.
bool remove_tree(int parent, const char *name);
// The same for what a directory holds; closes `fd`.
bool empty_tree(int fd);

// unpack-sha256.c
struct sha256 {
  uint32_t state[8];
  uint64_t bytes;
  uint8_t held[64];
};
void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size);
// Writes 64 digits and a zero.
void sha256_end(struct sha256 *hash, char *hex);

// unpack-root.c: opens the directory that a word of the command line means, mounting it in our mount namespace when it takes that:
//   dir:PATH                      a directory
//   layers:LINKS:NAMES            layers of an image, top first, "2:1:0", as links within LINKS; read-only
//   over:LINKS:UPPER:WORK:NAMES   the same below a directory that takes what is written
//   process:PID                   what a process sees as its root
int open_root(const char *word);
// For who needs no root.
void make_empty_root(void);
// The roots become all there is.
void leave_machine(void);

// unpack-walk.c: all that lies at and below a path, a directory before what it holds, names in the order of their bytes.
struct found {
  // Of the directory that holds it; of the root when it is the root.
  int parent;
  const char *name;
  // From the root, without a first slash; "" is the root.
  const char *path;
  struct stat status;
  // Open for reading, of directories only.
  int fd;
};
struct walker {
  void (*enter)(const struct found *found);
  // After what a directory holds; may be NULL.
  void (*leave)(const struct found *found);
};
// False when nothing lies there. A symlink at `path` itself is not followed.
bool walk(int root, const char *path, const struct walker *walker);
// Only what lies at the path.
bool walk_one(int root, const char *path, void (*see)(const struct found *found));
bool is_whiteout(const struct stat *status);
// For a file of several names: the one under which it came before; NULL, and `path` is kept, when this is the first.
const char *find_link(const struct stat *status, const char *path);
// Opens a plain file for reading; fails when it has become something else.
int open_found(const struct found *found);
// Attributes that belong to an image, and how many; those of a file that is open.
size_t read_xattrs(int fd, const char *path, struct xattr *xattrs);
bool wanted_xattr(const char *name);

// unpack-pack.c
struct packing {
  // Whiteouts as the image specification has them, opaque directories; else all as it is.
  bool layer;
  // What takes the place of `path` in entries' names.
  const char *path;
  const char *prefix;
  // -1: only the digest is wanted.
  int output;
  // Later times become this one, in the tar and on the disk; -1: none.
  int64_t time_max;
};
// False when nothing lies at the path. Writes the digest's 64 digits and a zero.
bool pack_tar(const struct packing *packing, char *hex, uint64_t *bytes);

// unpack-digest.c
// Records of what the paths on stdin mean: kind, mode, owner, size, times, digest of the content.
void print_digests(void);
// The same of one path, without reading it.
void print_stat(const char *path);
void print_changes(int lower);
uint64_t measure_tree(uint64_t *entries);

// unpack-copy.c
// Performs the records on stdin, from `source` to the root.
void copy_files(int source);
// Takes away what was only made for mounts to lie upon, at the paths on stdin.
void clear_stubs(void);
// A layer's directory as it is, with whiteouts and all.
void copy_tree(int source);

// unpack-words.c: what goes out, and words that end with a zero byte coming in on stdin.
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void write_out(const void *data, size_t size);
// Results end with a line of their own, whatever was told before.
void start_line(void);
void flush_out(void);
// NULL at the end.
char *next_word(void);
// Where results and failures are told; 1, or 3 where the output is a tar.
extern int result_fd;

// unpack-input.c: the bytes on stdin as they come.
struct input {
  const uint8_t *at;
  const uint8_t *end;
};
extern struct input input;
struct wanted_input {
  // Its digest is asked for.
  bool hashed;
  // What comes is added to this file, which has the first `kept_bytes` of it; -1: none.
  int keep_fd;
  uint64_t kept_bytes;
};
void input_open(const struct wanted_input *wanted);
// Makes `least` bytes, at most 64 KiB, or all that there are; false when the input ends before.
bool input_fill(size_t least);
// Reads what is left. Writes the digest's 64 digits and a zero.
void input_end(char *hex);
// For what is refused: a line with the digest of all that came.
void tell_input(void);

// unpack-decode.c: what the input unpacks to, piece by piece, however it is compressed; 0 at its end.
void decode_start(void);
size_t next_piece(const uint8_t **piece);

// unpack-gunzip.c
void gunzip_start(void);
size_t gunzip_piece(const uint8_t **piece);

// unpack-xz.c
void xz_start(void);
size_t xz_piece(const uint8_t **piece);

// unpack-bunzip.c
void bunzip_start(void);
size_t bunzip_piece(const uint8_t **piece);

// unpack-zstd.c
void zstd_start(void);
size_t zstd_piece(const uint8_t **piece);

// unpack-crc32.c: of more bytes, after those whose checksum is `before`; 0 before the first.
uint32_t crc32_add(uint32_t before, const uint8_t *at, size_t size);

// unpack-tar.c: reads the tar in the input to its end; returns the bytes of all files. Writes the digits of its digest and a zero; NULL:
// nobody asks for it.
// Whether the input begins as a tar does; where it cannot be one it is refused.
bool begins_tar(void);
uint64_t unpack_tar(uint64_t bytes_max, uint64_t whole_bytes_max, char *hex);
