/* Ops about the launcher itself. */
#include "launcher.h"

#include <unistd.h>

#define PROTOCOL_VERSION 1

/* hello: the protocol's version, the launcher's process id. */
static int hello(struct op_call *call) {
  write_number(call->results, PROTOCOL_VERSION);
  write_number(call->results, (uint64_t)getpid());
  return 0;
}

static const struct op ops[] = {
    {"hello", 0, 0, hello},
};
OP_FAMILY(control_ops, ops);
