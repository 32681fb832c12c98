/* Performs a launch plan: op after op, in the monitor up to clone and in the child from there on. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

static struct field op_fields[FIELDS_MAX];

static const struct {
  const struct launch_op *ops;
  const int *count;
} tables[] = {{clone_launch_ops, &clone_launch_op_count},         {monitor_launch_ops, &monitor_launch_op_count},
              {apart_launch_ops, &apart_launch_op_count},         {root_launch_ops, &root_launch_op_count},
              {mount_launch_ops, &mount_launch_op_count},         {bind_launch_ops, &bind_launch_op_count},
              {device_launch_ops, &device_launch_op_count},       {mask_launch_ops, &mask_launch_op_count},
              {user_launch_ops, &user_launch_op_count},           {process_launch_ops, &process_launch_op_count},
              {once_launch_ops, &once_launch_op_count},           {copy_launch_ops, &copy_launch_op_count},
              {delegate_launch_ops, &delegate_launch_op_count},   {label_launch_ops, &label_launch_op_count},
              {scheduling_launch_ops, &scheduling_launch_op_count}};

static const struct launch_op *find(struct field name) {
  for (size_t table = 0; table < sizeof tables / sizeof tables[0]; table++)
    for (int i = 0; i < *tables[table].count; i++)
      if (field_is(name, tables[table].ops[i].name)) return &tables[table].ops[i];
  return NULL;
}

static int run_one(struct launch *launch, struct field op_bytes, struct op_call *call) {
  struct reader reader = {.at = op_bytes.data, .end = op_bytes.data + op_bytes.size};
  int count = read_fields(reader, op_fields, FIELDS_MAX);
  if (count < 1 || !is_text(op_fields[0])) return op_fail(call, EINVAL, "read launch op");
  const struct launch_op *op = find(op_fields[0]);
  if (op == NULL) return op_fail(call, ENOSYS, "launch op %.64s", op_fields[0].data);
  call->args = op_fields + 1;
  call->count = count - 1;
  if (call->count < op->args_min || call->count > op->args_max)
    return op_fail(call, EINVAL, "%s: takes %d to %d arguments, got %d", op->name, op->args_min, op->args_max, call->count);
  /* The monitor goes on after clone too. */
  bool child = launch->report >= 0 && launch->cloned && launch->pid <= 0;
  if (child ? !op->in_child : !op->in_monitor)
    return op_fail(call, EINVAL, "%s: nothing for the %s", op->name, child ? "child" : "monitor");
  return op->run(launch, call);
}

/* Whether an op has this name and no arguments. */
static bool op_is(struct field op_bytes, const char *name) {
  struct reader reader = {.at = op_bytes.data, .end = op_bytes.data + op_bytes.size};
  struct field field;
  return read_field(&reader, &field) == 1 && field_is(field, name) && reader.at == reader.end;
}

static int find_word(const struct field *ops, int from, int count, const char *word) {
  while (from < count && !op_is(ops[from], word)) from++;
  return from;
}

static void report_failure(struct launch *launch, int index, int error, const char *what) {
  char data[1024];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_failure(&writer, error, what, index);
  size_t size = write_end(&writer);
  if (size == 0) return;
  if (launch->framed) send(launch->report, data, size, MSG_NOSIGNAL);
  else send(launch->report, data + 4, size - 4, MSG_NOSIGNAL);
}

static void end_report(struct report *report, int error, const char *what) {
  report->kind = REPORT_FAILED;
  report->error = error;
  snprintf(report->what, sizeof report->what, "%s", what);
}

void read_report(const struct launch *launch, struct report *report) {
  static const struct {
    const char *word;
    enum report_kind kind;
  } words[] = {{"exec", REPORT_EXEC}, {"sync", REPORT_SYNC}, {"waiting", REPORT_WAITING}};
  *report = (struct report){.kind = REPORT_END, .fd = -1};
  char data[1024];
  struct iovec part = {.iov_base = data, .iov_len = sizeof data};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
  ssize_t got;
  /* A child that ended before it took what was handed over resets the connection; what it said before is still there. */
  do got = recvmsg(launch->report, &message, MSG_CMSG_CLOEXEC);
  while (got < 0 && (errno == EINTR || errno == ECONNRESET));
  if (got <= 0) return;
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (head != NULL && head->cmsg_type == SCM_RIGHTS) {
    memcpy(&report->fd, CMSG_DATA(head), sizeof report->fd);
    report->kind = REPORT_TERMINAL;
    return;
  }
#ifdef CRASH_POINTS
  if (got == 5 && memcmp(data, "crash", 5) == 0) {
    crash_heard();
    read_report(launch, report);
    return;
  }
#endif
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    if ((size_t)got == strlen(words[i].word) && memcmp(data, words[i].word, (size_t)got) == 0) {
      report->kind = words[i].kind;
      return;
    }
  struct field fields[4];
  struct reader reader = {.at = data, .end = data + got};
  uint64_t error, index;
  if (read_fields(reader, fields, 4) != 4 || !field_number(fields[1], 4095, &error) || !field_number(fields[3], FIELDS_MAX, &index)) {
    end_report(report, EPROTO, "read the child's report");
    return;
  }
  report->index = (int)index;
  end_report(report, (int)error, fields[2].data);
}

int send_with_file(int socket, const char *word, int fd) {
  struct iovec part = {.iov_base = (void *)(uintptr_t)word, .iov_len = strlen(word)};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (fd >= 0) {
    message.msg_control = space.bytes;
    message.msg_controllen = sizeof space.bytes;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &fd, sizeof fd);
  }
  return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

int plan_monitor(struct launch *launch, const struct field *ops, int count, struct field rest, int *index, struct op_call *call) {
  int i = find_word(ops, 0, count, "monitor");
  if (i == count && rest.size > 0) return op_fail(call, EINVAL, "the rest of the plan has no part of the monitor's");
  for (; i < count; i = find_word(ops, i, count, "monitor")) {
    int end = find_word(ops, i, count, "hand-over");
    if (end == count) return op_fail(call, EINVAL, "the monitor's part of the plan has no end");
    for (; i < end; i++) {
      *index = launch->ahead + i;
      crash_point(launch, *index);
      int result = op_is(ops[i], "monitor") ? 0 : run_one(launch, ops[i], call);
      if (result < 0) return result;
    }
    /* A child that is gone already says why in its report. */
    (void)send_held(launch, rest.size == 0 ? "go" : rest.data, rest.size == 0 ? 2 : rest.size);
    rest.size = 0;
  }
  return 0;
}

/* A child whose plan ends early gets the rest. Its number of ops, or -errno. */
static int receive_rest(struct launch *launch, struct field *ops, struct op_call *call) {
  static char rest[POOLED_BYTES_MAX];
  if (send_with_file(launch->report, "waiting", -1) != 0) _exit(1);
  ssize_t got = receive_held(launch, rest, sizeof rest);
  /* Nobody wants it any more. */
  if (got == 0) _exit(0);
  launch->handed_over = got > 0;
  int count = got < 0 ? -1 : read_fields((struct reader){.at = rest, .end = rest + got}, ops, FIELDS_MAX);
  return count < 0 ? op_fail(call, EPROTO, "read the rest of the plan") : count;
}

static _Noreturn void child_run(struct launch *launch, const struct field *ops, int first, int count) {
  static struct field rest[FIELDS_MAX];
  struct op_call call = {0};
  for (int i = first;; i++) {
    if (i == count && launch->pooled) {
      launch->ahead = count;
      launch->pooled = false;
      count = receive_rest(launch, rest, &call);
      if (count < 0) {
        report_failure(launch, launch->ahead, -count, call.what);
        _exit(1);
      }
      crash_prepare(launch->containers);
      ops = rest;
      i = 0;
    }
    if (i < count && op_is(ops[i], "monitor")) i = find_word(ops, i, count, "hand-over");
    if (i >= count) {
      report_failure(launch, launch->ahead + count, EINVAL, "the plan ends without exec");
      _exit(1);
    }
    crash_point(launch, launch->ahead + i);
    int result = run_one(launch, ops[i], &call);
    if (result < 0) {
      report_failure(launch, launch->ahead + i, -result, call.what);
      _exit(1);
    }
  }
}

int plan_run(struct launch *launch, const struct field *ops, int count, int *index, struct op_call *call) {
  for (int i = 0; i < count; i++) {
    *index = i;
    crash_point(launch, i);
    int result = run_one(launch, ops[i], call);
    if (result < 0) return result;
    if (launch->pid > 0) return launch->pooled ? 0 : plan_monitor(launch, ops, count, (struct field){.data = "", .size = 0}, index, call);
    if (launch->cloned) child_run(launch, ops, i + 1, count);
  }
  *index = count;
  return op_fail(call, EINVAL, "the plan ends without clone");
}
