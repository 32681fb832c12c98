/* Strings out of a frame and into one. Reads nothing that lies outside, whatever the bytes say. */
#include "launcher.h"

#include <stdio.h>
#include <string.h>

bool is_text(struct field field) { return memchr(field.data, 0, field.size) == NULL; }

bool field_is(struct field field, const char *text) {
  /* Most differ early: no look at the whole of either. */
  for (size_t i = 0; i < field.size; i++)
    if (text[i] == 0 || text[i] != field.data[i]) return false;
  return text[field.size] == 0;
}

bool field_number(struct field field, uint64_t max, uint64_t *value) {
  if (field.size == 0 || field.size > 20) return false;
  uint64_t number = 0;
  for (size_t i = 0; i < field.size; i++) {
    if (field.data[i] < '0' || field.data[i] > '9') return false;
    if (__builtin_mul_overflow(number, 10, &number)) return false;
    if (__builtin_add_overflow(number, (uint64_t)(field.data[i] - '0'), &number)) return false;
  }
  if (number > max) return false;
  *value = number;
  return true;
}

int read_field(struct reader *reader, struct field *field) {
  size_t left = (size_t)(reader->end - reader->at);
  if (left == 0) return 0;
  uint32_t size;
  if (left < sizeof size + 1) return -1;
  memcpy(&size, reader->at, sizeof size);
  if (size > left - sizeof size - 1) return -1;
  const char *data = reader->at + sizeof size;
  if (data[size] != 0) return -1;
  *field = (struct field){.data = data, .size = size};
  reader->at = data + size + 1;
  return 1;
}

int read_fields(struct reader reader, struct field *fields, int max) {
  struct field field;
  for (int count = 0;; count++) {
    int got = read_field(&reader, &field);
    if (got == 0) return count;
    if (got < 0 || count == max) return -1;
    fields[count] = field;
  }
}

void write_begin(struct writer *writer, char *data, size_t capacity) {
  *writer = (struct writer){.data = data, .size = sizeof(uint32_t), .capacity = capacity};
}

void write_field(struct writer *writer, const void *data, size_t size) {
  uint32_t size32 = (uint32_t)size;
  size_t left = writer->capacity - writer->size;
  if (writer->overflow || left < sizeof size32 + 1 || size > left - sizeof size32 - 1) {
    writer->overflow = true;
    return;
  }
  char *to = writer->data + writer->size;
  memcpy(to, &size32, sizeof size32);
  if (size > 0) memcpy(to + sizeof size32, data, size);
  to[sizeof size32 + size] = 0;
  writer->size += sizeof size32 + size + 1;
}

void write_text(struct writer *writer, const char *text) { write_field(writer, text, strlen(text)); }

void write_number(struct writer *writer, uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  write_text(writer, text);
}

void write_failure(struct writer *writer, int error, const char *what, int index) {
  write_text(writer, "failed");
  write_number(writer, (uint64_t)error);
  write_text(writer, what);
  write_number(writer, (uint64_t)index);
}

size_t write_end(struct writer *writer) {
  if (writer->overflow) return 0;
  uint32_t length = (uint32_t)(writer->size - sizeof length);
  memcpy(writer->data, &length, sizeof length);
  return writer->size;
}
