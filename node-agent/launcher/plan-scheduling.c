/* Launch ops about when and where a process runs. They come before it loses the right to say so. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <sched.h>

/* sched_setattr(2)'s, which C libraries lack. */
struct scheduling {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
};

/* scheduler <policy> <flags> <nice + 20> <priority> <runtime> <deadline> <period> */
static int op_scheduler(struct launch *launch, struct op_call *call) {
  (void)launch;
  static const uint64_t most[] = {31, UINT32_MAX, 39, 99, UINT64_MAX, UINT64_MAX, UINT64_MAX};
  uint64_t values[7];
  for (int i = 0; i < 7; i++)
    if (!field_number(call->args[i], most[i], &values[i])) return op_fail(call, EINVAL, "scheduler");
  struct scheduling scheduling = {.size = sizeof scheduling,
                                  .policy = (uint32_t)values[0],
                                  .flags = values[1],
                                  .nice = (int32_t)values[2] - 20,
                                  .priority = (uint32_t)values[3],
                                  .runtime = values[4],
                                  .deadline = values[5],
                                  .period = values[6]};
  return syscall(SYS_sched_setattr, 0, &scheduling, 0) != 0 ? op_fail(call, errno, "set scheduler") : 0;
}

/* io-priority <class and priority, as ioprio_set(2) takes them> */
static int op_io_priority(struct launch *launch, struct op_call *call) {
  (void)launch;
  uint64_t value;
  if (!field_number(call->args[0], UINT16_MAX, &value)) return op_fail(call, EINVAL, "io-priority");
  return syscall(SYS_ioprio_set, 1, 0, (int)value) != 0 ? op_fail(call, errno, "set I/O priority") : 0;
}

/* affinity <CPU…> */
static int op_affinity(struct launch *launch, struct op_call *call) {
  (void)launch;
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < call->count; i++) {
    uint64_t cpu;
    if (!field_number(call->args[i], CPU_SETSIZE - 1, &cpu)) return op_fail(call, EINVAL, "affinity");
    CPU_SET(cpu, &set);
  }
  return sched_setaffinity(0, sizeof set, &set) != 0 ? op_fail(call, errno, "set CPU affinity") : 0;
}

const struct launch_op scheduling_launch_ops[] = {
    {"scheduler", 7, 7, false, true, op_scheduler},
    {"io-priority", 1, 1, false, true, op_io_priority},
    {"affinity", 1, CPU_SETSIZE, true, true, op_affinity},
};
const int scheduling_launch_op_count = sizeof scheduling_launch_ops / sizeof scheduling_launch_ops[0];
