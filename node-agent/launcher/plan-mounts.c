/* Launch ops that mount file systems inside a container. All paths are resolved below its root by the kernel (openat2), so that no link of
   an image leads out of it; mounts go onto what was opened, never onto a path. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <sys/mount.h>

/* On what was opened, or on the current directory when that is it already. */
int mount_on(struct op_call *call, const char *path, const char *type, const char *source, const struct mount_words *words,
                    const char *data) {
  uint64_t set = words->set;
  unsigned long flags = words->super;
  if (set & MOUNT_ATTR_RDONLY) flags |= MS_RDONLY;
  if (set & MOUNT_ATTR_NOSUID) flags |= MS_NOSUID;
  if (set & MOUNT_ATTR_NODEV) flags |= MS_NODEV;
  if (set & MOUNT_ATTR_NOEXEC) flags |= MS_NOEXEC;
  if (set & MOUNT_ATTR_NOATIME) flags |= MS_NOATIME;
  if (set & MOUNT_ATTR_STRICTATIME) flags |= MS_STRICTATIME;
  if (set & MOUNT_ATTR_NODIRATIME) flags |= MS_NODIRATIME;
  if (set & MOUNT_ATTR_NOSYMFOLLOW) flags |= MOUNT_NOSYMFOLLOW;
  if (sys_mount(source, path, type, flags, data) != 0) return op_fail(call, errno, "mount %s", type);
  return 0;
}

/* By its being the current directory: a path below /proc/self/fd costs more. */
int mount_on_directory(struct op_call *call, int to, const char *type, const char *source, const struct mount_words *words,
                              const char *data) {
  int result = fchdir(to) != 0 ? op_fail(call, errno, "mount %s", type) : mount_on(call, ".", type, source, words, data);
  return chdir("/") != 0 && result == 0 ? op_fail(call, errno, "mount %s", type) : result;
}

static int share_mount(struct launch *launch, struct op_call *call, const char *destination, uint64_t propagation) {
  int on = open_in_root(launch->root, destination, O_PATH, 0);
  int result = on < 0 || sys_mount_setattr(on, 0, 0, 0, propagation) != 0 ? op_fail(call, errno, "share mount %s", destination) : 0;
  if (on >= 0) close(on);
  return result;
}

/* mount <type> <source> <destination> <attributes> <data> */
int mount_file_system(struct launch *launch, struct op_call *call) {
  for (int i = 0; i < 5; i++)
    if (!is_text(call->args[i])) return op_fail(call, EINVAL, "mount");
  const char *type = call->args[0].data, *destination = call->args[2].data;
  struct mount_words words;
  if (launch->root < 0 || !mount_words(call->args[3], &words)) return op_fail(call, EINVAL, "mount: attributes");
  /* Masks are named by paths below /proc and /sys: no link of an image may make them another place (CVE-2019-19921). */
  bool kernel = strcmp(type, "proc") == 0 || strcmp(type, "sysfs") == 0;
  int to = open_mount_point(launch->root, destination, true, kernel);
  if (to < 0) return op_fail(call, errno, "make mount point %s", destination);
  int result = mount_on_directory(call, to, type, call->args[1].data, &words, call->args[4].data);
  if (result < 0) op_fail(call, -result, "mount %.60s at %.300s", type, destination);
  close(to);
  forget_folder();
  return result < 0 || words.propagation == MS_PRIVATE ? result : share_mount(launch, call, destination, words.propagation);
}

/* directory <destination>: such as the working directory. */
static int op_directory(struct launch *launch, struct op_call *call) {
  if (launch->root < 0 || !is_text(call->args[0])) return op_fail(call, EINVAL, "directory");
  int fd = make_in_root(launch->root, call->args[0].data, true, 0755);
  /* A read-only root without it: the op that needs it says so. */
  if (fd >= 0) close(fd);
  return fd < 0 && errno != EROFS && errno != ENOTDIR ? op_fail(call, errno, "make directory %s", call->args[0].data) : 0;
}

/* readonly-mount <mount point>: that mount alone. */
static int op_readonly_mount(struct launch *launch, struct op_call *call) {
  if (launch->root < 0 || !is_text(call->args[0])) return op_fail(call, EINVAL, "readonly-mount");
  int on = open_in_root(launch->root, call->args[0].data, O_PATH, 0);
  if (on < 0 || sys_mount_setattr(on, 0, MOUNT_ATTR_RDONLY, 0, 0) != 0)
    return op_fail(call, errno, "make %s read-only", call->args[0].data);
  close(on);
  return 0;
}

const struct launch_op mount_launch_ops[] = {
    {"mount", 5, 5, false, true, mount_file_system},
    {"directory", 1, 1, false, true, op_directory},
    {"readonly-mount", 1, 1, false, true, op_readonly_mount},
};
const int mount_launch_op_count = sizeof mount_launch_ops / sizeof mount_launch_ops[0];
