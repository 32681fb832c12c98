/* naru-launcher below-chroot: whether this process's root is another than its mount namespace's, to which entering the namespace leads. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/stat.h>
#include <stdio.h>

struct place {
  uint64_t mount, inode;
};

static int root_place(struct place *place) {
  struct statx info;
  if (syscall(SYS_statx, AT_FDCWD, "/", 0, STATX_INO | STATX_MNT_ID, &info) != 0) return -1;
  *place = (struct place){.mount = info.stx_mnt_id, .inode = info.stx_ino};
  return 0;
}

int below_chroot_command(void) {
  struct place before, after;
  if (root_place(&before) != 0 || enter_namespace_root() != 0 || root_place(&after) != 0) {
    fprintf(stderr, "naru-launcher: look for a chroot: %s\n", strerror(errno));
    return 125;
  }
  return before.mount == after.mount && before.inode == after.inode ? 1 : 0;
}
