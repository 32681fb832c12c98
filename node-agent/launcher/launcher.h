/* What the launcher's files share: the wire format, the table of ops, the plan, the monitor. README.md says what they mean. */
#ifndef NARU_LAUNCHER_H
#define NARU_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FRAME_BYTES_MAX (4u * 1024 * 1024)
#define FIELDS_MAX 1024
#define TEXT_BYTES_MAX 512
#define REPLY_BYTES_MAX 65536

/* A string of a frame, in place. data[size] is always 0, so that it can be used as a C string once is_text() said yes. */
struct field {
  const char *data;
  size_t size;
};

/* True when no zero byte hides inside. */
bool is_text(struct field field);
bool field_is(struct field field, const char *text);
/* A whole decimal number without sign in [0, max]. False leaves *value alone. */
bool field_number(struct field field, uint64_t max, uint64_t *value);

/* --- wire.c: strings out of a frame and into one -------------------------------------------------------------------- */

struct reader {
  const char *at;
  const char *end;
};

/* 1: *field is the next string; 0: the end; -1: malformed. */
int read_field(struct reader *reader, struct field *field);
/* Number of fields, or -1 when malformed or more than max. */
int read_fields(struct reader reader, struct field *fields, int max);

struct writer {
  char *data;
  size_t size;
  size_t capacity;
  bool overflow;
};

void write_begin(struct writer *writer, char *data, size_t capacity);
void write_field(struct writer *writer, const void *data, size_t size);
void write_text(struct writer *writer, const char *text);
void write_number(struct writer *writer, uint64_t value);
/* Fills in the frame's length; its size, or 0 when it overflowed. */
size_t write_end(struct writer *writer);

/* --- ops: a family is one file and one line in families.def ----------------------------------------------------------- */

struct op_call {
  const struct field *args;
  int count;
  /* Results of an op that succeeds: write_text(call->results, …). */
  struct writer *results;
  /* What failed, without the errno's words, such as "add link veth1a"; set it with op_fail. */
  char what[TEXT_BYTES_MAX];
};

/* Sets call->what and gives -error, so that an op can `return op_fail(call, errno, "add link %s", name)`. */
__attribute__((format(printf, 3, 4))) int op_fail(struct op_call *call, int error, const char *format, ...);

struct op {
  const char *name;
  int args_min;
  int args_max;
  /* 0, or a negative errno through op_fail. Must not block for long: the launcher has one thread. */
  int (*run)(struct op_call *call);
};

struct op_family {
  const struct op *ops;
  int count;
};

#define OP_FAMILY(name, table) const struct op_family name = {.ops = (table), .count = sizeof(table) / sizeof((table)[0])}

/* Runs an op by name, inside the network namespace at netns_path unless that is "". 0 or -errno. */
int run_op(struct field name, struct field netns_path, struct op_call *call);

#endif
