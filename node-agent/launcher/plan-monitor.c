/* Launch ops of the monitor: standard files, log, cgroups. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <sys/stat.h>

#define DIRECTORY_TRIES_MAX 100

/* stdio null|pipe|terminal|inherit <stdin 0|1> [<columns> <rows>] */
static int op_stdio(struct launch *launch, struct op_call *call) {
  bool terminal = field_is(call->args[0], "terminal");
  if (field_is(call->args[0], "inherit")) {
    for (int i = 0; i < 3; i++) launch->child_stdio[i] = i;
    return 0;
  }
  bool pipes = field_is(call->args[0], "pipe");
  if (!terminal && !pipes && !field_is(call->args[0], "null")) return op_fail(call, EINVAL, "stdio: kind");
  if (terminal) {
    uint64_t columns = 0, rows = 0;
    if (call->count == 4 && (!field_number(call->args[2], 65535, &columns) || !field_number(call->args[3], 65535, &rows)))
      return op_fail(call, EINVAL, "stdio: size");
    launch->terminal = true;
    launch->columns = (unsigned)columns;
    launch->rows = (unsigned)rows;
    return 0;
  }
  int null = open_path("/dev/null", O_RDWR);
  if (null < 0) return op_fail(call, errno, "open /dev/null");
  for (int i = 0; i < 3; i++) launch->child_stdio[i] = null;
  int ends[2];
  if (field_is(call->args[1], "1")) {
    if (pipe2(ends, O_CLOEXEC) != 0) return op_fail(call, errno, "pipe");
    launch->child_stdio[0] = ends[0];
    launch->in = ends[1];
  }
  if (!pipes) return 0;
  if (pipe2(ends, O_CLOEXEC) != 0) return op_fail(call, errno, "pipe");
  launch->out = ends[0];
  launch->child_stdio[1] = ends[1];
  if (pipe2(ends, O_CLOEXEC) != 0) return op_fail(call, errno, "pipe");
  launch->err = ends[0];
  launch->child_stdio[2] = ends[1];
  return 0;
}

/* hold-output: nothing of it is read before someone attached. */
static int op_hold_output(struct launch *launch, struct op_call *call) {
  (void)call;
  launch->hold_output = true;
  return 0;
}

/* log <path> <bytes of a file> <files> */
static int op_log(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0]) || call->args[0].size > 4000 || !field_number(call->args[1], 1ull << 40, &launch->log_bytes_max) ||
      !field_number(call->args[2], 100, &launch->log_files_max))
    return op_fail(call, EINVAL, "log");
  launch->log_path = call->args[0];
  return 0;
}

/* oom-counter <file> <key>: where the kernel counts processes killed for want of memory. */
static int op_oom_counter(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0]) || !is_text(call->args[1])) return op_fail(call, EINVAL, "oom-counter");
  launch->oom_path = call->args[0];
  launch->oom_key = call->args[1];
  return 0;
}

/* Everybody may look into it, such as a container's user into its cgroup. 0, EEXIST, or why not. */
static int make_directory(const char *path) {
  mode_t mask = umask(022);
  int error = mkdir(path, 0755) == 0 ? 0 : errno;
  umask(mask);
  return error;
}

static bool is_there(int error) { return error == 0 || error == EEXIST; }

/* make-directory <path>: with every parent that is absent. */
static int op_make_directory(struct launch *launch, struct op_call *call) {
  char path[4096];
  struct field to = call->args[0];
  if (!is_text(to) || to.size == 0 || to.size >= sizeof path || to.data[0] != '/') return op_fail(call, EINVAL, "make-directory");
  memcpy(path, to.data, to.size + 1);
  /* A neighbour that goes takes the empty directory above away, maybe in between. */
  int made;
  for (int tries = 0; !is_there(made = make_directory(path)); tries++) {
    if (made != ENOENT || tries == DIRECTORY_TRIES_MAX) return op_fail(call, made, "make directory %s", path);
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
      *slash = 0;
      int above = make_directory(path);
      if (!is_there(above) && above != ENOENT) return op_fail(call, above, "make directory %s", path);
      *slash = '/';
    }
  }
  if (made == EEXIST) launch->cgroup_reused = true;
  return 0;
}

static int do_write(struct op_call *call) {
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "write");
  const char *path = call->args[0].data;
  if (write_file(path, call->args[1].data, call->args[1].size) != 0)
    return op_fail(call, errno, "write %.60s to %.300s", is_text(call->args[1]) ? call->args[1].data : "bytes", path);
  return 0;
}

/* write <path> <bytes> */
static int op_write(struct launch *launch, struct op_call *call) {
  (void)launch;
  return do_write(call);
}

/* try-write <path> <bytes>: as far as the machine's limits for the launcher itself and the kernel's configuration let it. */
static int op_try_write(struct launch *launch, struct op_call *call) {
  (void)launch;
  int result = do_write(call);
  return result == -EACCES || result == -EPERM || result == -ENOENT || result == -EOPNOTSUPP ? 0 : result;
}

/* into-cgroup <directory>: clone puts the child there (cgroup v2). */
static int op_into_cgroup(struct launch *launch, struct op_call *call) {
  if (!is_text(call->args[0])) return op_fail(call, EINVAL, "into-cgroup");
  launch->cgroup = open_path(call->args[0].data, O_RDONLY | O_DIRECTORY);
  return launch->cgroup < 0 ? op_fail(call, errno, "open cgroup %s", call->args[0].data) : 0;
}

/* device-filter <cgroup> <program>: an array of struct bpf_insn that decides over the cgroup's devices (cgroup v2). */
static int op_device_filter(struct launch *launch, struct op_call *call) {
  (void)launch;
  size_t size = call->args[1].size;
  if (!is_text(call->args[0]) || size == 0 || size % sizeof(struct bpf_insn) != 0) return op_fail(call, EINVAL, "device-filter");
  int cgroup = open_path(call->args[0].data, O_RDONLY | O_DIRECTORY);
  if (cgroup < 0) return op_fail(call, errno, "open cgroup %s", call->args[0].data);
  static const char license[] = "Apache-2.0";
  union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
                         .insns = (uint64_t)(uintptr_t)call->args[1].data,
                         .insn_cnt = (uint32_t)(size / sizeof(struct bpf_insn)),
                         .license = (uint64_t)(uintptr_t)license};
  int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  union bpf_attr attach = {.target_fd = (uint32_t)cgroup, .attach_bpf_fd = (uint32_t)program, .attach_type = BPF_CGROUP_DEVICE};
  int result = program < 0 ? -1 : (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach);
  int error = errno;
  if (program >= 0) close(program);
  close(cgroup);
  return result < 0 ? op_fail(call, error, "attach device filter to cgroup %s", call->args[0].data) : 0;
}

const struct launch_op monitor_launch_ops[] = {
    {"stdio", 2, 4, true, false, op_stdio},
    {"hold-output", 0, 0, true, false, op_hold_output},
    {"log", 3, 3, true, false, op_log},
    {"oom-counter", 2, 2, true, false, op_oom_counter},
    {"make-directory", 1, 1, true, false, op_make_directory},
    {"write", 2, 2, true, true, op_write},
    {"try-write", 2, 2, true, true, op_try_write},
    {"into-cgroup", 1, 1, true, false, op_into_cgroup},
    {"device-filter", 2, 2, true, false, op_device_filter},
};
const int monitor_launch_op_count = sizeof monitor_launch_ops / sizeof monitor_launch_ops[0];
