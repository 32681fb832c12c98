/* The table of ops, and running one of them in the network namespace that the request names. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FAMILY(name) extern const struct op_family name;
#include "families.def"
#undef FAMILY

static const struct op_family *const families[] = {
#define FAMILY(name) &name,
#include "families.def"
#undef FAMILY
};

int op_fail(struct op_call *call, int error, const char *format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(call->what, sizeof call->what, format, list);
  va_end(list);
  return error > 0 ? -error : -EIO;
}

static const struct op *find_op(struct field name) {
  for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
    for (int j = 0; j < families[i]->count; j++)
      if (field_is(name, families[i]->ops[j].name)) return &families[i]->ops[j];
  return NULL;
}

static int run_inside(const struct op *op, const char *netns_path, struct op_call *call) {
  int inside = open(netns_path, O_RDONLY | O_CLOEXEC);
  if (inside < 0) return op_fail(call, errno, "open network namespace %s", netns_path);
  int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  if (own < 0) {
    int error = errno;
    close(inside);
    return op_fail(call, error, "open own network namespace");
  }
  int result;
  if (setns(inside, CLONE_NEWNET) != 0) {
    result = op_fail(call, errno, "enter network namespace %s", netns_path);
  } else {
    result = op->run(call);
    /* Going on in a container's network would be worse than being started anew. */
    if (setns(own, CLONE_NEWNET) != 0) abort();
  }
  close(inside);
  close(own);
  return result;
}

int run_op(struct field name, struct field netns_path, struct op_call *call) {
  const struct op *op = is_text(name) ? find_op(name) : NULL;
  if (op == NULL) return op_fail(call, ENOSYS, "op %.64s", is_text(name) ? name.data : "(not text)");
  if (call->count < op->args_min || call->count > op->args_max)
    return op_fail(call, EINVAL, "%s: takes %d to %d arguments, got %d", op->name, op->args_min, op->args_max, call->count);
  if (netns_path.size == 0) return op->run(call);
  if (!is_text(netns_path)) return op_fail(call, EINVAL, "network namespace's path");
  return run_inside(op, netns_path.data, call);
}
