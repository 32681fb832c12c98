/* A monitor that waits: its child has performed the beginning of a plan, and the launcher sends what follows; or it is spare, and gets
   the whole plan. */
#include "kernel.h"
#include "monitor.h"

#include <signal.h>
#include <sys/socket.h>

static char pooled_bytes[POOLED_BYTES_MAX];
static struct field pooled_fields[FIELDS_MAX];

/* Until the launcher has a container for it. Ends with the launcher, and with the child. */
static size_t wait_for_request(void) {
  for (;;) {
    struct pollfd polls[] = {{.fd = monitor.control, .events = POLLIN}, {.fd = monitor.launch.pidfd, .events = POLLIN}};
    if (poll(polls, 2, -1) < 0) continue;
    ssize_t got = polls[0].revents ? recv(monitor.control, pooled_bytes, sizeof pooled_bytes, MSG_DONTWAIT) : -1;
    if (got > 0) return (size_t)got;
    if (got == 0 || polls[1].revents) {
      sys_pidfd_send_signal(monitor.launch.pidfd, SIGKILL);
      _exit(0);
    }
  }
}

static void begin_plan(const struct launch_request *request) {
  int index = 0;
  struct op_call call = {0};
  struct report report = {.kind = REPORT_FAILED};
  monitor.launch.pooled = true;
  int result = plan_run(&monitor.launch, request->ops, request->count, &index, &call);
  if (result == 0) read_report(&monitor.launch, &report);
  if (report.kind != REPORT_WAITING) {
    tell_failed(result < 0 ? -result : report.error, result < 0 ? call.what : report.what, result < 0 ? index : report.index);
    _exit(1);
  }
  struct writer writer;
  char data[32];
  write_begin(&writer, data, sizeof data);
  write_text(&writer, "ready");
  tell(&writer);
}

void wait_in_pool(struct launch_request *request, struct field *rest) {
  bool spare = request->count == 0;
  if (!spare) begin_plan(request);
  learn_starts();
  size_t size = wait_for_request();
  struct reader reader = {.at = pooled_bytes, .end = pooled_bytes + size};
  monitor.launch.ahead = request->count;
  if (read_field(&reader, &request->name) != 1) _exit(1);
  *rest = (struct field){.data = reader.at, .size = (size_t)(reader.end - reader.at)};
  request->ops = pooled_fields;
  request->count = read_fields(reader, pooled_fields, FIELDS_MAX);
  if (request->count < 1) _exit(1);
  if (spare) request->pooled = false;
}
