/* Launch ops about security modules of the kernel, which take effect when the container's program is executed. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/statfs.h>

/* Of this process itself, in the container's own /proc, which an image cannot have replaced. */
static int write_attribute(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  struct statfs info;
  if (fd < 0) return -1;
  int error = 0;
  if (fstatfs(fd, &info) != 0) error = errno;
  else if (info.f_type != PROC_SUPER_MAGIC) error = EPERM;
  else if (write(fd, text, strlen(text)) != (ssize_t)strlen(text)) error = errno != 0 ? errno : EIO;
  close(fd);
  errno = error;
  return error == 0 ? 0 : -1;
}

/* apparmor <profile>: one that the kernel has loaded. */
static int op_apparmor(struct launch *launch, struct op_call *call) {
  (void)launch;
  char text[512];
  struct field name = call->args[0];
  if (!is_text(name) || name.size == 0 || name.size > sizeof text - 8) return op_fail(call, EINVAL, "apparmor");
  snprintf(text, sizeof text, "exec %s", name.data);
  /* Where several modules are at work each has files of its own; older kernels have the common one alone. */
  if (write_attribute("/proc/self/attr/apparmor/exec", text) != 0 &&
      (access("/proc/self/attr/apparmor", F_OK) == 0 || write_attribute("/proc/self/attr/exec", text) != 0))
    return op_fail(call, errno, "apply AppArmor profile %s", name.data);
  return 0;
}

const struct launch_op label_launch_ops[] = {{"apparmor", 1, 1, false, true, op_apparmor}};
const int label_launch_op_count = sizeof label_launch_ops / sizeof label_launch_ops[0];
