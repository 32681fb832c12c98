/* Launch ops that show places of the host inside a container. A source is opened once, what lies below it without ever leaving it, and
   mounted by what was opened: a path that is swapped meanwhile leads nowhere else. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>

static const struct {
  const char *word;
  uint64_t attribute;
} known[] = {{"ro", MOUNT_ATTR_RDONLY},     {"nosuid", MOUNT_ATTR_NOSUID},   {"nodev", MOUNT_ATTR_NODEV},
             {"noexec", MOUNT_ATTR_NOEXEC}, {"noatime", MOUNT_ATTR_NOATIME}, {"strictatime", MOUNT_ATTR_STRICTATIME},
             {"nodiratime", MOUNT_ATTR_NODIRATIME}, {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW}};

static bool is_word(const char *at, size_t size, const char *word) { return strlen(word) == size && memcmp(at, word, size) == 0; }

static const struct {
  const char *word;
  unsigned long flag;
} supers[] = {{"sync", MS_SYNCHRONOUS},   {"dirsync", MS_DIRSYNC}, {"lazytime", 1ul << 25},
              {"iversion", MS_I_VERSION}, {"silent", 1ul << 15},   {"remount", MS_REMOUNT}};

static const struct {
  const char *word;
  uint64_t propagation;
} propagations[] = {{"shared", MS_SHARED}, {"slave", MS_SLAVE}, {"unbindable", MS_UNBINDABLE}};

/* idmap, ridmap, or one of them with ":" and the number of a mount-users. */
static bool idmap_word(const char *at, size_t size, struct mount_words *words) {
  bool all = size > 0 && at[0] == 'r';
  size_t name = strcspn(at + all, ": ") + all;
  if (name > size || !is_word(at + all, name - all, "idmap")) return false;
  uint64_t number = 0;
  if (name < size && !field_number((struct field){.data = at + name + 1, .size = size - name - 1}, MOUNT_USERS_MAX - 1, &number))
    return false;
  words->idmap = true;
  words->idmap_all = all;
  words->users = name < size ? (int)number : -1;
  return true;
}

static bool attribute_word(const char *at, size_t size, struct mount_words *words) {
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (is_word(at, size, known[i].word)) words->set |= known[i].attribute;
    else if (at[0] == 'r' && is_word(at + 1, size - 1, known[i].word)) words->set_all |= known[i].attribute;
    else if (at[0] == '-' && is_word(at + 1, size - 1, known[i].word)) words->clear_all |= known[i].attribute;
    else continue;
    return true;
  }
  return false;
}

static bool mount_word(const char *at, size_t size, struct mount_words *words) {
  if (size == 0) return false;
  if (is_word(at, size, "recursive")) {
    words->recursive = true;
    return true;
  }
  for (size_t i = 0; i < sizeof propagations / sizeof propagations[0]; i++)
    if (is_word(at, size, propagations[i].word)) {
      words->propagation = propagations[i].propagation;
      return true;
    }
  for (size_t i = 0; i < sizeof supers / sizeof supers[0]; i++)
    if (is_word(at, size, supers[i].word)) {
      words->super |= supers[i].flag;
      return true;
    }
  return idmap_word(at, size, words) || attribute_word(at, size, words);
}

bool mount_words(struct field text, struct mount_words *words) {
  *words = (struct mount_words){.propagation = MS_PRIVATE, .users = -1};
  for (size_t at = 0; at < text.size;) {
    size_t end = at;
    while (end < text.size && text.data[end] != ' ') end++;
    if (!mount_word(text.data + at, end - at, words)) return false;
    at = end + 1;
  }
  return true;
}

static int open_beneath(int root, const char *path) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
  return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* Opens what `path` leads to below root; folders that are missing are made like the one above them. Links are followed as long as
   they stay below; EXDEV for one that does not. */
static int open_or_make_beneath(int root, const char *wanted) {
  char path[4096];
  size_t size = strlen(wanted);
  if (size >= sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(path, wanted, size + 1);
  int found = open_beneath(root, path);
  if (found >= 0 || errno != ENOENT) return found;
  int parent = fcntl(root, F_DUPFD_CLOEXEC, 0);
  for (char *name = path; parent >= 0;) {
    name += strspn(name, "/");
    if (*name == 0) return parent;
    char *end = name + strcspn(name, "/");
    char saved = *end;
    *end = 0;
    struct stat above;
    int next = open_beneath(root, path);
    if (next < 0 && errno == ENOENT && fstat(parent, &above) == 0) {
      mode_t mask = umask(0);
      int made = mkdirat(parent, name, above.st_mode & 07777);
      umask(mask);
      if (made == 0 || errno == EEXIST) next = open_beneath(root, path);
    }
    int error = errno;
    close(parent);
    errno = error;
    *end = saved;
    parent = next;
    name = end;
  }
  return -1;
}

/* What `below` leads to inside of source. */
static int open_source(struct op_call *call, const char *source, const char *below) {
  int root = open_path(source, O_PATH);
  if (root < 0) return op_fail(call, errno, "bind %s", source);
  int fd = open_or_make_beneath(root, below);
  int error = errno;
  close(root);
  const char *out = error == EXDEV ? ", which it leads out of" : "";
  return fd < 0 ? op_fail(call, error, "open %.200s below %.200s%s", below, source, out) : fd;
}

/* The three ways to count accesses are one setting: the kernel wants it cleared first. */
static int set_attributes(int tree, unsigned flags, uint64_t set, uint64_t clear, uint64_t propagation) {
  if ((set | clear) & MOUNT_ATTR__ATIME) clear |= MOUNT_ATTR__ATIME;
  return sys_mount_setattr(tree, flags, set, clear, propagation);
}

static int map_tree(const struct launch *launch, int tree, const struct mount_words *words) {
  if (!words->idmap) return 0;
  int users = words->users < 0 ? launch->user_namespace : words->users < launch->mount_user_count ? launch->mount_users[words->users] : -1;
  return sys_mount_idmap(tree, words->idmap_all ? AT_RECURSIVE : 0, users);
}

/* Of what is open, or of the path when nothing is. */
static int tree_of(const struct launch *launch, struct op_call *call, int source, const char *path, const struct mount_words *words) {
  unsigned recursive = words->recursive ? AT_RECURSIVE : 0, flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | recursive;
  int tree = source < 0 ? sys_open_tree(AT_FDCWD, path, flags) : sys_open_tree(source, "", flags | AT_EMPTY_PATH);
  const char *what = "bind";
  /* One mount takes all at once. */
  uint64_t first = words->recursive ? words->set_all : words->set_all | words->set;
  if (tree >= 0 && set_attributes(tree, recursive, first, words->clear_all, words->propagation) == 0 &&
      (first == (words->set_all | words->set) || set_attributes(tree, 0, words->set, 0, 0) == 0)) {
    if (map_tree(launch, tree, words) == 0) return tree;
    what = "map users of";
  }
  int error = errno;
  if (tree >= 0) close(tree);
  return op_fail(call, error, "%s %s", what, path);
}

int tree_at(const struct launch *launch, struct op_call *call, const char *path, const struct mount_words *words) {
  return tree_of(launch, call, -1, path, words);
}

static int open_plain(int root, const char *path) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS};
  return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

int open_mount_point(int root, const char *path, bool directory, bool plain) {
  int to = plain ? open_plain(root, path) : -1;
  /* What is absent is made, and then looked at: a link may have led elsewhere. */
  bool made = to < 0 && (!plain || errno == ENOENT);
  if (made) to = make_in_root(root, path, directory, 0755);
  if (to < 0) return -1;
  struct statfs info;
  struct stat there, seen;
  int error = 0;
  /* Only the kernel's own files may be what they seem there: a link of an image must not put others in their place. */
  if (strncmp(path, "/proc/", 6) != 0 && (fstatfs(to, &info) != 0 || info.f_type == PROC_SUPER_MAGIC)) error = EPERM;
  if (plain && made && error == 0) {
    int direct = open_plain(root, path);
    if (direct < 0 || fstat(direct, &there) != 0 || fstat(to, &seen) != 0) error = errno;
    else if (there.st_dev != seen.st_dev || there.st_ino != seen.st_ino) error = ELOOP;
    if (direct >= 0) close(direct);
  }
  if (error == 0) return to;
  close(to);
  errno = error;
  return -1;
}

static int place(struct launch *launch, struct op_call *call, int tree, const char *destination) {
  struct stat info;
  if (fstat(tree, &info) != 0) return op_fail(call, errno, "bind at %s", destination);
  int to = open_mount_point(launch->root, destination, S_ISDIR(info.st_mode), false);
  if (to < 0) return op_fail(call, errno, "make mount point %s", destination);
  int result = sys_move_mount(tree, to) != 0 ? op_fail(call, errno, "bind at %s", destination) : 0;
  close(to);
  forget_folder();
  return result;
}

/* The mount that bind and hold ask for, not attached anywhere yet; its destination is args[2]. */
static int tree_asked(struct launch *launch, struct op_call *call) {
  for (int i = 0; i < 4; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "bind");
  struct mount_words words;
  if (!mount_words(call->args[3], &words)) return op_fail(call, EINVAL, "bind: attributes");
  const char *path = call->args[0].data;
  if (call->args[1].data[0] == 0) return tree_of(launch, call, -1, path, &words);
  int source = open_source(call, path, call->args[1].data);
  if (source < 0) return source;
  int tree = tree_of(launch, call, source, path, &words);
  close(source);
  return tree;
}

/* bind <source> <path below it or ""> <destination> <attributes> */
static int op_bind(struct launch *launch, struct op_call *call) {
  int tree = launch->root < 0 ? op_fail(call, EINVAL, "bind") : tree_asked(launch, call);
  if (tree < 0) return tree;
  int result = place(launch, call, tree, call->args[2].data);
  close(tree);
  return result;
}

/* hold: bind's arguments. Where the host's mounts are in view: in the monitor, or in a child before private-mounts; so what is mounted
   there later is seen on the other side. */
static int op_hold(struct launch *launch, struct op_call *call) {
  int tree = tree_asked(launch, call);
  return tree < 0 ? tree : hold_file(launch, call, tree, call->args[2].data);
}

/* place [<destination>]: what was held first and is not used yet goes there, or where `hold` in this process said. */
static int op_place(struct launch *launch, struct op_call *call) {
  if (launch->root < 0 || (call->count == 1 && !is_text(call->args[0]))) return op_fail(call, EINVAL, "place");
  int tree = take_held(launch, call);
  if (tree < 0) return tree;
  int result = place(launch, call, tree, call->count == 1 ? call->args[0].data : launch->held[launch->placed - 1].destination);
  close(tree);
  return result;
}

const struct launch_op bind_launch_ops[] = {
    {"bind", 4, 4, false, true, op_bind},
    {"hold", 4, 4, true, true, op_hold},
    {"place", 0, 1, false, true, op_place},
};
const int bind_launch_op_count = sizeof bind_launch_ops / sizeof bind_launch_ops[0];
