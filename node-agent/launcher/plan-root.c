/* Launch ops about a container's root: mounted, or made as a tree for a child that is apart, and made "/". */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* The mount namespace's root becomes this process's. It is another one when the agent runs in a chroot, and a container's root has
   to take the namespace's place: else entering the namespace (exec) would lead outside, and so would enough of "..". */
int enter_namespace_root(void) {
  int self = sys_pidfd_open(getpid());
  if (self < 0) return -1;
  int result = setns(self, CLONE_NEWNS);
  close(self);
  return result;
}

/* private-mounts: nothing done here is seen outside, nor the other way round, be it above a chroot or below it. */
static int op_private_mounts(struct launch *launch, struct op_call *call) {
  (void)launch;
  int root = open_path("/", O_PATH | O_DIRECTORY);
  if (root < 0 || enter_namespace_root() != 0 || sys_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || fchdir(root) != 0 ||
      chroot(".") != 0)
    return op_fail(call, errno, "make mounts private");
  close(root);
  return 0;
}

/* fsconfig takes values of up to 255 bytes, so a longer list of lower directories goes one by one. */
static int add_option(int fs, char *option) {
  char *value = strchr(option, '=');
  if (value == NULL) return sys_fsconfig(fs, FSCONFIG_SET_FLAG, option, NULL);
  *value++ = 0;
  if (strcmp(option, "lowerdir") != 0 || strlen(value) <= 255) return sys_fsconfig(fs, FSCONFIG_SET_STRING, option, value);
  for (char *layer; (layer = strsep(&value, ":")) != NULL;)
    if (sys_fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir+", layer) != 0) return -1;
  return 0;
}

/* An overlay that is attached nowhere; -1 also for what this kernel's fsconfig cannot say, but mount can. */
static int overlay_tree(struct field data, uint64_t set) {
  char *text = strdup(data.data), *rest = text;
  int fs = text == NULL || strchr(text, '\\') != NULL ? -1 : sys_fsopen("overlay", FSOPEN_CLOEXEC);
  int result = fs < 0 ? -1 : sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", "overlay");
  for (char *option; result == 0 && (option = strsep(&rest, ",")) != NULL;)
    if (*option != 0) result = add_option(fs, option);
  if (result == 0) result = sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL);
  int tree = result == 0 ? sys_fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)set) : -1;
  if (fs >= 0) close(fs);
  free(text);
  return tree;
}

static int bind_rootfs(struct launch *launch, struct op_call *call, int on, const char *source, const struct mount_words *words) {
  int tree = tree_at(launch, call, source, words);
  if (tree < 0) return tree;
  int result = sys_move_mount(tree, on) != 0 ? op_fail(call, errno, "bind %s", source) : 0;
  close(tree);
  return result;
}

/* Puts a layer, with its users mapped, into the current directory, under a number. */
static int map_layer(struct launch *launch, struct op_call *call, const char *layer, int number) {
  char name[16];
  snprintf(name, sizeof name, "%d", number);
  struct mount_words plain = {.propagation = MS_PRIVATE, .idmap = true, .users = -1};
  int tree = tree_at(launch, call, layer, &plain);
  if (tree < 0) return tree;
  int on = mkdir(name, 0700) == 0 ? open_path(name, O_PATH | O_DIRECTORY) : -1;
  int result = on < 0 || sys_move_mount(tree, on) != 0 ? op_fail(call, errno, "map layer %s", layer) : 0;
  if (on >= 0) close(on);
  close(tree);
  return result;
}

/* An overlay has no users of its own: each of its layers is mounted with its users mapped, in a file system that it then covers. */
static int mount_mapped_overlay(struct launch *launch, struct op_call *call, const char *target, const struct mount_words *words) {
  int here = open_path(".", O_PATH | O_DIRECTORY);
  if (here < 0 || sys_mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,mode=700") != 0 || chdir(target) != 0)
    return op_fail(call, errno, "prepare layers at %s", target);
  char *data = malloc(call->args[4].size * 2 + 64), *options = strdup(call->args[4].data);
  int result = data == NULL || options == NULL ? op_fail(call, ENOMEM, "map layers") : 0;
  size_t size = 0;
  int number = 0;
  char *rest = options;
  for (char *option; result == 0 && (option = strsep(&rest, ",")) != NULL;) {
    if (size > 0) data[size++] = ',';
    bool lower = strncmp(option, "lowerdir=", 9) == 0;
    size += (size_t)sprintf(data + size, "%s", lower ? "lowerdir=" : option);
    char *layers = lower ? option + 9 : NULL;
    for (char *layer; result == 0 && layers != NULL && (layer = strsep(&layers, ":")) != NULL; number++) {
      result = map_layer(launch, call, layer, number);
      size += (size_t)sprintf(data + size, number > 0 ? ":%d" : "%d", number);
    }
  }
  if (result == 0) result = mount_on(call, target, "overlay", "overlay", words, data);
  if (fchdir(here) != 0 && result == 0) result = op_fail(call, errno, "leave %s", target);
  close(here);
  free(data);
  free(options);
  return result;
}

/* rootfs <target on the host> <type> <source> <attributes> <data> */
static int op_rootfs(struct launch *launch, struct op_call *call) {
  for (int i = 0; i < 5; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "rootfs");
  const char *target = call->args[0].data, *type = call->args[1].data, *source = call->args[2].data;
  struct mount_words words;
  if (!mount_words(call->args[3], &words)) return op_fail(call, EINVAL, "rootfs: attributes");
  int on = open_path(target, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (on < 0) return op_fail(call, errno, "open %s", target);
  int result;
  if (strcmp(type, "bind") == 0) {
    result = bind_rootfs(launch, call, on, source, &words);
  } else if (strcmp(type, "overlay") == 0 && words.idmap) {
    result = mount_mapped_overlay(launch, call, target, &words);
  } else if (strcmp(type, "overlay") == 0 && call->args[4].size > 4000) {
    /* Long lists of lower directories do not fit into mount(2)'s page. */
    int tree = overlay_tree(call->args[4], words.set);
    result = tree < 0 || sys_move_mount(tree, on) != 0 ? op_fail(call, errno, "mount overlay") : 0;
    if (tree >= 0) close(tree);
  } else {
    result = mount_on_directory(call, on, type, source, &words, call->args[4].data);
  }
  close(on);
  if (result < 0) return result;
  launch->root = open_path(target, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  forget_folder();
  return launch->root < 0 ? op_fail(call, errno, "open %s", target) : 0;
}

/* In a copy of the host's mounts that nobody else sees; for what cannot be mounted without a place. */
static int root_in_scratch(struct launch *launch, struct op_call *call) {
  if (launch->apart.home < 0 || unshare(CLONE_NEWNS) != 0) return op_fail(call, launch->apart.home < 0 ? EINVAL : errno, "copy mounts");
  int result = op_private_mounts(launch, call);
  if (result == 0) result = op_rootfs(launch, call);
  int tree = result == 0 ? sys_open_tree(launch->root, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE) : -1;
  if (result == 0 && tree < 0) result = op_fail(call, errno, "take the root");
  if (launch->root >= 0) close(launch->root);
  launch->root = -1;
  if (leave_apart(&launch->apart) != 0) _exit(1);
  return result < 0 ? result : tree;
}

int root_tree(struct launch *launch, struct op_call *call) {
  for (int i = 0; i < 5; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "rootfs");
  struct mount_words words;
  if (!mount_words(call->args[3], &words)) return op_fail(call, EINVAL, "rootfs: attributes");
  if (field_is(call->args[1], "bind")) return tree_at(launch, call, call->args[2].data, &words);
  int tree = field_is(call->args[1], "overlay") && !words.idmap && words.super == 0 ? overlay_tree(call->args[4], words.set) : -1;
  if (tree < 0) tree = root_in_scratch(launch, call);
  if (tree < 0 || words.propagation == MS_PRIVATE || sys_mount_setattr(tree, 0, 0, 0, words.propagation) == 0) return tree;
  return op_fail(call, errno, "share mount");
}

static int replace_root(int root) {
  return enter_namespace_root() != 0 || fchdir(root) != 0 || sys_pivot_root(".", ".") != 0 || sys_umount(".", UNMOUNT_DETACH) != 0 ? -1 : 0;
}

/* As an initial RAM disk's is covered: what lies below has nothing of the host's, no ".." and no entering of the namespace leads there.
   pivot_root would look at every process of the machine, and unmounting wait for each of its processors. */
static int cover_root(int root) {
  int below = open_path("/", O_PATH | O_DIRECTORY);
  if (below < 0) return -1;
  int result = sys_move_mount(root, below) != 0 || fchdir(root) != 0 || chroot(".") != 0 ? -1 : 0;
  int error = errno;
  close(below);
  errno = error;
  return result;
}

/* pivot: the root becomes "/", and nothing of the host's files is left. */
static int op_pivot(struct launch *launch, struct op_call *call) {
  if (launch->root < 0) return op_fail(call, EINVAL, "pivot");
  forget_folder();
  if ((launch->is_apart ? cover_root(launch->root) : replace_root(launch->root)) != 0 || chdir("/") != 0)
    return op_fail(call, errno, "make the container's root the root");
  return 0;
}

const struct launch_op root_launch_ops[] = {
    {"private-mounts", 0, 0, false, true, op_private_mounts},
    {"rootfs", 5, 5, false, true, op_rootfs},
    {"pivot", 0, 0, false, true, op_pivot},
};
const int root_launch_op_count = sizeof root_launch_ops / sizeof root_launch_ops[0];
