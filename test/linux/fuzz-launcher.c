/* Throws hostile bytes at the launcher's readers, built with sanitizers: frames and fields, words of mounts and namespaces, numbers,
   what a program prints on its way into the log. The same seed gives the same bytes. */
#include "../../node-agent/launcher/launcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

void set_title(const char *text) { (void)text; }

static uint32_t below(uint32_t limit) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (uint32_t)(state >> 33) % limit;
}

static void check(bool right, const char *what) {
  if (right) return;
  fprintf(stderr, "wrong: %s\n", what);
  abort();
}

static const char *const words[] = {"ro",   "rro", "nosuid", "recursive", "shared", "slave", "mount", "pid", "network", "user", "time",
                                    "1000", "-1",  "18446744073709551615", "18446744073709551616", "00000000000000000000000", "", " ", "\0x", "stdio"};

/* A frame's strings, most of them well made; then some bytes are others. */
static size_t make(char *data, size_t capacity) {
  struct writer writer;
  write_begin(&writer, data, capacity);
  for (uint32_t count = below(12); count > 0; count--) {
    char noise[64];
    uint32_t size = below(sizeof noise);
    for (uint32_t i = 0; i < size; i++) noise[i] = (char)below(256);
    if (below(3) == 0) write_field(&writer, noise, size);
    else write_text(&writer, words[below(sizeof words / sizeof words[0])]);
  }
  size_t size = write_end(&writer);
  for (uint32_t flips = below(4); flips > 0 && size > 0; flips--) data[below((uint32_t)size)] = (char)below(256);
  if (below(4) == 0) size = below((uint32_t)size + 1);
  return size;
}

static void use(struct field field) {
  uint64_t number;
  struct mount_words mounts;
  check(field.data[field.size] == 0, "a field ends with a zero byte");
  if (field_number(field, UINT64_MAX, &number)) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    check(field.size >= strlen(text) && memcmp(field.data + field.size - strlen(text), text, strlen(text)) == 0, "a number is what its digits say");
  }
  if (!is_text(field)) return;
  mount_words(field, &mounts);
  namespace_flags(field);
}

static void read_hostile(const char *bytes, size_t size) {
  /* Its own memory, of that size exactly: a step beyond is seen. */
  char *data = malloc(size == 0 ? 1 : size);
  if (size > 0) memcpy(data, bytes, size);
  struct field fields[8];
  struct reader reader = {.at = data, .end = data + size};
  int count = read_fields(reader, fields, 8);
  for (int i = 0; i < count; i++) {
    check(fields[i].data >= data && fields[i].data + fields[i].size < data + size, "a field lies inside its frame");
    use(fields[i]);
    struct field inner[8];
    struct reader within = {.at = fields[i].data, .end = fields[i].data + fields[i].size};
    int more = read_fields(within, inner, 8);
    for (int j = 0; j < more; j++) use(inner[j]);
  }
  if (count > 1) {
    int ops = 1 + (int)below((uint32_t)count - 1);
    const struct shape *shape = pool_set(fields, ops, 1);
    check(shape != NULL && shape->count == ops, "a shape has the ops that were given");
    check(pool_match(fields, ops) != NULL && pool_match(fields, count) != NULL, "a plan that begins as a shape does is found");
  }
  free(data);
}

int main(int argc, char **argv) {
  long rounds = argc > 1 ? atol(argv[1]) : 1000;
  state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
  struct log log;
  log_open(&log, "/dev/null", 1ull << 40, 1);
  static char frame[4096];
  for (long i = 0; i < rounds; i++) {
    size_t size = make(frame, sizeof frame);
    read_hostile(frame + (size >= 4 ? 4 : 0), size >= 4 ? size - 4 : size);
    log_write(&log, "stdout", frame, size);
  }
  printf("%ld rounds\n", rounds);
  return 0;
}
