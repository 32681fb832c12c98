// Confinement: the bytes of an image come from strangers, so whatever they make the parser do must stay within one directory.
#define _GNU_SOURCE
#include "unpack.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

// Sanitizers need more of the kernel than the program itself: under them it is confined by its root alone.
#if defined(__SANITIZE_ADDRESS__)
static const bool sanitized = true;
const char *__asan_default_options(void);
// What a refusal leaves allocated ends with the process.
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#else
static const bool sanitized = false;
#endif

#if defined(__x86_64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_AARCH64
#else
#error "naru-unpack knows x86-64 and arm64"
#endif

void enter_mount_namespace(void) {
  if (unshare(CLONE_NEWNS) != 0) fail_errno("make a mount namespace", "");
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail_errno("make mounts private", "/");
}

// A place without devices, programs and setuid that cannot be left by "..": the only thing there is, but for what is open.
void enter_root(const char *directory) {
  if (mount(directory, directory, NULL, MS_BIND, NULL) != 0) fail_errno("bind", directory);
  if (mount(NULL, directory, NULL, MS_BIND | MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
    fail_errno("remount", directory);
  if (chdir(directory) != 0) fail_errno("enter", directory);
  if (syscall(SYS_pivot_root, ".", ".") != 0) fail_errno("pivot_root to", directory);
  if (umount2(".", MNT_DETACH) != 0) fail_errno("leave the old root for", directory);
  if (chdir("/") != 0) fail_errno("enter", "/");
}

static void limit(int resource, rlim_t most) {
  struct rlimit limits = {most, most};
  if (setrlimit(resource, &limits) != 0) fail_errno("set a limit", "");
}

static void keep_capabilities(uint64_t capabilities) {
  for (int i = 0; i < 64; i++) {
    if ((capabilities >> i & 1) != 0) continue;
    // EINVAL: past the last capability that this kernel has.
    if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) != 0 && errno != EINVAL) fail_errno("drop capabilities", "");
  }
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {
      {(uint32_t)capabilities, (uint32_t)capabilities, 0},
      {(uint32_t)(capabilities >> 32), (uint32_t)(capabilities >> 32), 0},
  };
  if (syscall(SYS_capset, &header, data) != 0) fail_errno("drop capabilities", "");
}

static const int allowed_calls[] = {
    SYS_read,      SYS_write,     SYS_writev,       SYS_close,         SYS_lseek,      SYS_fstat,     SYS_openat,
    SYS_openat2,   SYS_mkdirat,   SYS_mknodat,      SYS_symlinkat,     SYS_linkat,     SYS_unlinkat,  SYS_fchown,
    SYS_fchownat,  SYS_fchmod,    SYS_fchmodat,     SYS_utimensat,     SYS_fsetxattr,  SYS_setxattr,  SYS_lsetxattr,
    SYS_newfstatat, SYS_statx,    SYS_getdents64,   SYS_brk,           SYS_mmap,       SYS_munmap,    SYS_mremap,
    SYS_madvise,   SYS_exit,      SYS_exit_group,   SYS_rt_sigreturn,  SYS_fcntl,      SYS_rt_sigprocmask,
    SYS_dup,       SYS_readlinkat, SYS_flistxattr,  SYS_fgetxattr,     SYS_copy_file_range, SYS_getrandom, SYS_sysinfo,
    SYS_syncfs,
};
enum { calls = sizeof allowed_calls / sizeof allowed_calls[0] };

static void allow_calls(void) {
  struct sock_filter filter[calls + 6];
  size_t n = 0;
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
  filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_HERE, 1, 0);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < calls; i++)
    filter[n++] =
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)allowed_calls[i], (uint8_t)(calls - i), 0);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
  filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {(unsigned short)n, filter};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) fail_errno("set the system call filter", "");
}

// After this the process can change files below its root and end; it can't mount, trace, run programs or make sockets.
void drop_privileges(uint64_t capabilities, unsigned files_max) {
  signal(SIGXFSZ, SIG_IGN);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_NOFILE, files_max);
  if (!sanitized) limit(RLIMIT_AS, 512UL * 1024 * 1024);
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) fail_errno("become undumpable", "");
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail_errno("set no_new_privs", "");
  keep_capabilities(capabilities);
  if (!sanitized) allow_calls();
}
