/* Sends batches of netlink messages in any network namespace and collects the kernel's answers. It decides nothing. */
#include "launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
  NAMESPACES_MAX = 64,
  SOCKETS_MAX = 64,
  PATH_BYTES_MAX = 4096,
  ANSWER_BYTES_MAX = 500 << 10,
  RECEIVE_BYTES = 64 << 10,
};

struct cursor {
  const uint8_t *at, *end;
  bool bad;
};

struct space {
  char *path;
  int fd;
};

struct channel {
  uint32_t space, protocol;
  int fd;
};

struct batch {
  struct space spaces[NAMESPACES_MAX];
  uint32_t space_count;
  struct channel channels[SOCKETS_MAX];
  uint32_t channel_count;
  int own;
  uint32_t sequence;
  uint8_t *reply;
  size_t reply_length, reply_size;
};

struct step {
  uint32_t kind, space, protocol, flags, fd_offset, fd_space, header_bytes, keep, length;
  const uint8_t *payload;
};

static uint32_t take_u32(struct cursor *r) {
  uint32_t value;
  if (r->bad || (size_t)(r->end - r->at) < 4) {
    r->bad = true;
    return 0;
  }
  memcpy(&value, r->at, 4);
  r->at += 4;
  return value;
}

static const uint8_t *take_bytes(struct cursor *r, uint32_t length) {
  const uint8_t *bytes = r->at;
  if (r->bad || (size_t)(r->end - r->at) < length) {
    r->bad = true;
    return NULL;
  }
  r->at += length;
  return bytes;
}

static int append(struct batch *b, const void *data, size_t length) {
  if (b->reply_length + length > ANSWER_BYTES_MAX)
    return -EMSGSIZE;
  if (b->reply_length + length > b->reply_size) {
    size_t size = b->reply_size * 2 + length + 4096;
    uint8_t *grown = realloc(b->reply, size);
    if (grown == NULL)
      return -ENOMEM;
    b->reply = grown;
    b->reply_size = size;
  }
  memcpy(b->reply + b->reply_length, data, length);
  b->reply_length += length;
  return 0;
}

/* A descriptor of the namespace, opened at first use: an earlier step may have made it. */
static int space_fd(struct batch *b, uint32_t index) {
  struct space *space = &b->spaces[index];
  if (space->fd < 0 && space->path[0] == '\0')
    space->fd = fcntl(b->own, F_DUPFD_CLOEXEC, 0);
  else if (space->fd < 0)
    space->fd = open(space->path, O_RDONLY | O_CLOEXEC);
  return space->fd < 0 ? -errno : space->fd;
}

/* Without its own namespace the process would act on a foreign one from here on. */
static void come_home(struct batch *b) {
  if (setns(b->own, CLONE_NEWNET) != 0)
    abort();
}

/* A socket keeps the namespace that it was made in, so the visit is short. */
static int channel_fd(struct batch *b, uint32_t space, uint32_t protocol) {
  for (uint32_t i = 0; i < b->channel_count; i++)
    if (b->channels[i].space == space && b->channels[i].protocol == protocol)
      return b->channels[i].fd;
  if (b->channel_count == SOCKETS_MAX)
    return -EMFILE;
  bool away = b->spaces[space].path[0] != '\0';
  if (away) {
    int target = space_fd(b, space);
    if (target < 0)
      return target;
    if (setns(target, CLONE_NEWNET) != 0)
      return -errno;
  }
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, (int)protocol);
  int error = fd < 0 ? -errno : 0;
  if (away)
    come_home(b);
  if (error != 0)
    return error;
  int on = 1, bytes = 4 << 20;
  setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes);
  b->channels[b->channel_count++] = (struct channel){ space, protocol, fd };
  return fd;
}

/* The sentence that the kernel put behind an error, if any. */
static int append_reason(struct batch *b, const struct nlmsghdr *header) {
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0)
    return 0;
  const struct nlmsgerr *error = NLMSG_DATA(header);
  size_t skip = NLMSG_HDRLEN + sizeof *error;
  if ((header->nlmsg_flags & NLM_F_CAPPED) == 0 && error->msg.nlmsg_len > sizeof error->msg)
    skip += error->msg.nlmsg_len - sizeof error->msg;
  const uint8_t *at = (const uint8_t *)header + skip, *end = (const uint8_t *)header + header->nlmsg_len;
  while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
    struct nlattr attribute;
    memcpy(&attribute, at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || attribute.nla_len > end - at)
      return 0;
    if ((attribute.nla_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG && attribute.nla_len > sizeof attribute + 1)
      return append(b, at + sizeof attribute, attribute.nla_len - sizeof attribute - 1);
    at += NLA_ALIGN(attribute.nla_len);
  }
  return 0;
}

/* An answer reduced to its fixed header and the attributes of types in `keep`: dumps carry much that nobody asked for. */
static int append_answer(struct batch *b, const struct step *step, const struct nlmsghdr *header) {
  size_t fixed = NLMSG_HDRLEN + NLMSG_ALIGN(step->header_bytes);
  if (step->keep == 0 || header->nlmsg_len < fixed) return append(b, header, NLMSG_ALIGN(header->nlmsg_len));
  size_t start = b->reply_length;
  int full = append(b, header, fixed);
  const uint8_t *at = (const uint8_t *)header + fixed, *end = (const uint8_t *)header + header->nlmsg_len;
  while (full == 0 && end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
    struct nlattr attribute;
    memcpy(&attribute, at, sizeof attribute);
    if (attribute.nla_len < sizeof attribute || attribute.nla_len > end - at) break;
    uint32_t type = attribute.nla_type & (uint32_t)NLA_TYPE_MASK, size = NLA_ALIGN(attribute.nla_len);
    if (size > end - at) size = (uint32_t)(end - at);
    if (type < 32 && (step->keep >> type & 1) != 0) full = append(b, at, size);
    at += size;
  }
  uint32_t length = (uint32_t)(b->reply_length - start);
  if (full == 0) memcpy(b->reply + start, &length, sizeof length);
  return full;
}

/* Takes the answers to one message: until its acknowledgement, its error or the end of its dump.
   *error gets what the kernel said; returns a negative errno when the conversation itself failed. */
static int collect(struct batch *b, const struct step *step, int fd, int *error) {
  static _Alignas(struct nlmsghdr) uint8_t buffer[RECEIVE_BYTES];
  for (;;) {
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return -errno;
    size_t step_bytes;
    for (size_t at = 0; (size_t)got - at >= sizeof(struct nlmsghdr); at += step_bytes) {
      struct nlmsghdr *h = (struct nlmsghdr *)(buffer + at);
      size_t left = (size_t)got - at;
      if (h->nlmsg_len < sizeof *h || h->nlmsg_len > left)
        break;
      step_bytes = NLMSG_ALIGN((size_t)h->nlmsg_len);
      if (step_bytes > left)
        step_bytes = left;
      if (h->nlmsg_seq != b->sequence)
        continue;
      if (h->nlmsg_type == NLMSG_ERROR) {
        memcpy(error, NLMSG_DATA(h), sizeof *error);
        return *error == 0 ? 0 : append_reason(b, h);
      }
      if (h->nlmsg_type == NLMSG_DONE) {
        if (h->nlmsg_len >= NLMSG_LENGTH(sizeof *error))
          memcpy(error, NLMSG_DATA(h), sizeof *error);
        return 0;
      }
      int full = append_answer(b, step, h);
      if (full != 0)
        return full;
    }
  }
}

static int send_message(struct batch *b, const struct step *step, int *error) {
  struct nlmsghdr *header;
  if (step->length < sizeof *header)
    return -EINVAL;
  int fd = channel_fd(b, step->space, step->protocol);
  if (fd < 0) {
    *error = fd;
    return 0;
  }
  uint8_t *message = malloc(step->length);
  if (message == NULL)
    return -ENOMEM;
  memcpy(message, step->payload, step->length);
  if (step->fd_offset != UINT32_MAX) {
    int target = space_fd(b, step->fd_space);
    if (target < 0) {
      free(message);
      *error = target;
      return 0;
    }
    memcpy(message + step->fd_offset, &target, 4);
  }
  header = (struct nlmsghdr *)message;
  header->nlmsg_len = step->length;
  header->nlmsg_seq = ++b->sequence;
  header->nlmsg_pid = 0;
  header->nlmsg_flags |= NLM_F_REQUEST;
  if ((header->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
    header->nlmsg_flags |= NLM_F_ACK;
  ssize_t sent = send(fd, message, step->length, 0);
  int failure = sent < 0 ? -errno : 0;
  free(message);
  return failure != 0 ? failure : collect(b, step, fd, error);
}

static int make_space(struct batch *b, const char *path) {
  int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  if (fd < 0)
    return -errno;
  close(fd);
  int error = 0;
  if (unshare(CLONE_NEWNET) != 0)
    error = -errno;
  else {
    if (mount("/proc/thread-self/ns/net", path, NULL, MS_BIND, NULL) != 0)
      error = -errno;
    come_home(b);
  }
  if (error != 0)
    unlink(path);
  return error;
}

static int drop_space(const char *path) {
  if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL && errno != ENOENT)
    return -errno;
  return unlink(path) != 0 && errno != ENOENT ? -errno : 0;
}

static int perform(struct batch *b, const struct step *step, int *error) {
  switch (step->kind) {
  case 0:
    return send_message(b, step, error);
  case 1:
    *error = make_space(b, b->spaces[step->space].path);
    return 0;
  case 2:
    *error = drop_space(b->spaces[step->space].path);
    return 0;
  default:
    return -EINVAL;
  }
}

static int read_spaces(struct batch *b, struct cursor *r) {
  uint32_t count = take_u32(r);
  if (count > NAMESPACES_MAX)
    return -EINVAL;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t length = take_u32(r);
    const uint8_t *path = length > PATH_BYTES_MAX ? NULL : take_bytes(r, length);
    if (path == NULL)
      return -EINVAL;
    b->spaces[i].path = strndup((const char *)path, length);
    b->spaces[i].fd = -1;
    b->space_count = i + 1;
    if (b->spaces[i].path == NULL)
      return -ENOMEM;
  }
  return 0;
}

static bool read_step(struct batch *b, struct cursor *r, struct step *step) {
  step->kind = take_u32(r);
  step->space = take_u32(r);
  step->protocol = take_u32(r);
  step->flags = take_u32(r);
  step->fd_offset = take_u32(r);
  step->fd_space = take_u32(r);
  step->header_bytes = take_u32(r);
  step->keep = take_u32(r);
  step->length = take_u32(r);
  step->payload = take_bytes(r, step->length);
  if (r->bad || step->space >= b->space_count)
    return false;
  if (step->fd_offset == UINT32_MAX)
    return true;
  return step->fd_space < b->space_count && step->length >= 4 && step->fd_offset <= step->length - 4;
}

static int run_steps(struct batch *b, struct cursor *r) {
  uint32_t count = take_u32(r);
  for (uint32_t i = 0; i < count; i++) {
    struct step step;
    if (!read_step(b, r, &step))
      return -EINVAL;
    size_t start = b->reply_length;
    uint32_t head[2] = { 0, 0 };
    int error = 0;
    int failure = append(b, head, sizeof head);
    if (failure == 0)
      failure = perform(b, &step, &error);
    if (failure != 0)
      return failure;
    head[0] = (uint32_t)error;
    head[1] = (uint32_t)(b->reply_length - start - sizeof head);
    memcpy(b->reply + start, head, sizeof head);
    if (error != 0 && (step.flags & 1) == 0)
      return 0;
  }
  return 0;
}

static void release(struct batch *b) {
  for (uint32_t i = 0; i < b->channel_count; i++) close(b->channels[i].fd);
  for (uint32_t i = 0; i < b->space_count; i++) {
    if (b->spaces[i].fd >= 0) close(b->spaces[i].fd);
    free(b->spaces[i].path);
  }
  if (b->own >= 0) close(b->own);
  free(b->reply);
}

/* Results are text for their readers, so bytes go as hexadecimal digits. */
static int write_hex(struct writer *results, const struct batch *b) {
  static const char digits[] = "0123456789abcdef";
  char *text = malloc(b->reply_length * 2 + 1);
  if (text == NULL) return -ENOMEM;
  for (size_t i = 0; i < b->reply_length; i++) {
    text[2 * i] = digits[b->reply[i] >> 4];
    text[2 * i + 1] = digits[b->reply[i] & 15];
  }
  write_field(results, text, b->reply_length * 2);
  free(text);
  return 0;
}

/*
 * "netlink": one argument, the batch; one result, what came of it in hexadecimal digits. All numbers are little-endian.
 *
 *   batch:  u32 namespaces, each { u32 length, path }; an empty path is the one that the op runs in
 *           u32 steps, each { u32 kind, namespace, protocol, flags, fd_offset, fd_namespace, header_bytes, keep, length; payload }
 *   result: per step performed { i32 error, u32 length, data }
 *
 * kind 0 sends the payload, one netlink message; where fd_offset is not 0xffffffff a descriptor of fd_namespace is written there.
 * Of answers, attributes stay whose type's bit is set in `keep` (0: all); they follow header_bytes of fixed header.
 * kind 1 makes a network namespace and binds it to the path of `namespace`; kind 2 removes such a one.
 * error is 0 or a negative errno; data is the answers, or the kernel's sentence about the error.
 * A step that fails ends the batch, unless flags has bit 0.
 */
static int netlink(struct op_call *call) {
  struct batch b = {.own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  if (b.own < 0) return op_fail(call, errno, "open own network namespace");
  const uint8_t *data = (const uint8_t *)call->args[0].data;
  struct cursor r = {data, data + call->args[0].size, false};
  int error = read_spaces(&b, &r);
  if (error == 0) error = run_steps(&b, &r);
  if (error == 0) error = write_hex(call->results, &b);
  release(&b);
  return error == 0 ? 0 : op_fail(call, -error, "netlink batch");
}

/* The command "netlink", for programs that need it once: the batch comes on standard input, the result goes to standard output. */
int netlink_command(void) {
  static char batch[ANSWER_BYTES_MAX + 1], results[2 * ANSWER_BYTES_MAX + 64];
  size_t size = 0;
  for (ssize_t got; size < ANSWER_BYTES_MAX && (got = read(STDIN_FILENO, batch + size, ANSWER_BYTES_MAX - size)) > 0;)
    size += (size_t)got;
  struct field argument = {.data = batch, .size = size};
  struct writer writer;
  write_begin(&writer, results, sizeof results);
  struct op_call call = {.args = &argument, .count = 1, .results = &writer};
  int error = netlink(&call);
  if (error != 0 || writer.overflow) {
    fprintf(stderr, "naru-launcher: %s: %s\n", call.what, strerror(error == 0 ? EMSGSIZE : -error));
    return 1;
  }
  /* Behind the frame's length, the one string: its size and its text. */
  const char *text = results + 2 * sizeof(uint32_t);
  size_t left = writer.size - 2 * sizeof(uint32_t) - 1;
  return fwrite(text, 1, left, stdout) == left && fflush(stdout) == 0 ? 0 : 1;
}

static const struct op ops[] = {
    {"netlink", 1, 1, netlink},
};
OP_FAMILY(netlink_ops, ops);
