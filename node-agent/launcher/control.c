/* Ops about the launcher itself. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>

#define PROTOCOL_VERSION 1

/* hello: the protocol's version, the launcher's process id. */
static int hello(struct op_call *call) {
  write_number(call->results, PROTOCOL_VERSION);
  write_number(call->results, (uint64_t)getpid());
  return 0;
}

/* signal <pid> <start time> <number>: to that process, never to a later one of the same number. */
static int send_signal(struct op_call *call) {
  uint64_t pid, start, number;
  if (!field_number(call->args[0], 1u << 30, &pid) || pid == 0 || !field_number(call->args[1], UINT64_MAX, &start) ||
      !field_number(call->args[2], 64, &number))
    return op_fail(call, EINVAL, "signal");
  int pidfd = sys_pidfd_open((pid_t)pid);
  if (pidfd < 0) return op_fail(call, errno, "signal process %d", (int)pid);
  int result = 0;
  if (process_start((pid_t)pid) != start)
    result = op_fail(call, ESRCH, "signal process %d", (int)pid);
  else if (sys_pidfd_send_signal(pidfd, (int)number) != 0)
    result = op_fail(call, errno, "signal process %d", (int)pid);
  close(pidfd);
  return result;
}

static const struct op ops[] = {
    {"signal", 3, 3, send_signal},
    {"hello", 0, 0, hello},
};
OP_FAMILY(control_ops, ops);
