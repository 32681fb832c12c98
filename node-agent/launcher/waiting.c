/* Sandboxes that wait for containers: made one at a time in quiet moments, given away, ended. pool.c knows of what kinds. And a spare
   monitor, for a launch that finds no sandbox: forked before anybody asks. */
#include "kernel.h"
#include "serve.h"

#include <errno.h>
#include <sys/socket.h>
#include <time.h>

/* They are made when nobody asked for anything this long. */
#define QUIET_MS 20

static int64_t busy_ms;
static bool gone;
/* Of the spare monitor: a plan without a beginning. */
static struct shape spare = {.wanted = 1};

static int64_t quiet_clock_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void note_busy(void) {
  busy_ms = quiet_clock_ms();
  gone = false;
}

void note_gone(void) { gone = true; }

static bool is_of(const struct peer *peer, const struct shape *shape) {
  return peer->kind == MONITOR && peer->fd >= 0 && peer->shape == shape && peer->shape_version == shape->version;
}

static int count_of(const struct shape *shape, bool ready) {
  int count = 0;
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (is_of(peer, shape) && (peer->ready || !ready)) count++;
  return count;
}

/* The shape that lacks one, when nothing else is to be done. */
static struct shape *lacking(void) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (peer->kind == MONITOR && peer->fd >= 0 && (peer->asked_by != 0 || (peer->shape != NULL && !peer->ready))) return NULL;
  if (!spare.failed && count_of(&spare, false) == 0) return &spare;
  struct shape *shape;
  for (int i = 0; (shape = pool_shape(i)) != NULL; i++)
    if (shape->count > 0 && !shape->failed && count_of(shape, false) < shape->wanted) return shape;
  return NULL;
}

static void fill_pool(struct shape *shape) {
  const char *what;
  struct launch_request request = {
      .name = {.data = "", .size = 0}, .ops = shape->ops, .count = shape->count, .stream = -1, .pooled = true};
  struct peer *monitor = fork_monitor(NULL, &request, &what);
  shape->failed = monitor == NULL;
  if (monitor == NULL) return;
  monitor->shape = shape;
  monitor->shape_version = shape->version;
  /* What is sent to it before it listens is there when it does. */
  monitor->ready = shape == &spare;
}

/* Those that are too many, and of shapes that are wanted no more. They end when their socket does. */
static void trim_pool(void) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (peer->kind == MONITOR && peer->fd >= 0 && peer->shape != NULL &&
        (peer->shape_version != peer->shape->version || count_of(peer->shape, false) > peer->shape->wanted))
      forget(peer);
}

int set_pool(struct op_call *call) {
  uint64_t wanted;
  if (call->count < 2 || !field_number(call->args[0], POOL_WANTED_MAX, &wanted)) return op_fail(call, EINVAL, "pool: number and ops");
  struct shape *shape = pool_set(call->args + 1, call->count - 1, (int)wanted);
  if (shape == NULL) return op_fail(call, ENOMEM, "pool");
  trim_pool();
  write_number(call->results, (uint64_t)count_of(shape, true));
  return 0;
}

static struct peer *ready_of(const struct shape *shape) {
  struct peer *peer = shape == NULL ? NULL : peers;
  while (peer != NULL && !(is_of(peer, shape) && peer->ready)) peer = peer->next;
  return peer;
}

struct peer *take_pooled(int count) {
  struct peer *peer = ready_of(pool_match(fields + 4, count - 4));
  if (peer == NULL) peer = ready_of(&spare);
  spare.failed = false;
  if (peer == NULL) return NULL;
  struct writer writer;
  write_begin(&writer, reply_data, POOLED_BYTES_MAX);
  write_field(&writer, fields[3].data, fields[3].size);
  for (int i = 4 + peer->shape->count; i < count; i++) write_field(&writer, fields[i].data, fields[i].size);
  size_t size = write_end(&writer);
  /* What is that long starts without. */
  if (size == 0) return NULL;
  if (send(peer->fd, reply_data + 4, size - 4, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
    /* It was killed, which says nothing of the next one. */
    if (errno == EPIPE || errno == ECONNRESET) forget(peer);
    return NULL;
  }
  peer->shape = NULL;
  return peer;
}

int fill_pool_when_quiet(void) {
  struct shape *shape = lacking();
  int64_t left_ms = shape == NULL ? -1 : shape == &spare && gone ? 0 : busy_ms + QUIET_MS - quiet_clock_ms();
  if (shape != NULL && left_ms <= 0) fill_pool(shape);
  return left_ms > 0 ? (int)left_ms : -1;
}

void hear_pooled(struct peer *monitor) {
  char data[1024];
  ssize_t got = recv(monitor->fd, data, sizeof data, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  struct field said[4];
  bool ready = got > 0 && read_fields((struct reader){.at = data, .end = data + got}, said, 4) == 1 && field_is(said[0], "ready");
  if (ready) {
    monitor->ready = true;
    return;
  }
  if ((!monitor->ready || monitor->shape == &spare) && is_of(monitor, monitor->shape)) monitor->shape->failed = true;
  forget(monitor);
}
