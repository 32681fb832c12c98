/* Those who are connected to the launcher, clients and monitors: watched, sent to without waiting for them, forgotten. */
#include "kernel.h"
#include "serve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define CLIENT_BYTES_MIN (64u * 1024)
#define CLIENT_OUT_BYTES_MAX (4u * 1024 * 1024)

int epoll_fd, client_count;
struct peer *peers;
char reply_data[REPLY_BYTES_MAX];

static uint64_t next_number = 1;

struct peer *add_peer(int kind, int fd) {
  struct peer *peer = calloc(1, sizeof *peer);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
  if (peer == NULL || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
    free(peer);
    close(fd);
    return NULL;
  }
  peer->kind = kind;
  peer->fd = fd;
  peer->number = next_number++;
  peer->next = peers;
  peers = peer;
  if (kind == CLIENT) client_count++;
  return peer;
}

/* A monitor may hold a copy of fd for a moment, so closing it alone would not end its events. */
void forget(struct peer *peer) {
  if (peer->fd < 0) return;
  epoll_ctl(epoll_fd, EPOLL_CTL_DEL, peer->fd, NULL);
  close(peer->fd);
  peer->fd = -1;
  if (peer->kind == CLIENT) client_count--;
}

void free_forgotten(void) {
  for (struct peer **at = &peers; *at != NULL;) {
    struct peer *peer = *at;
    if (peer->fd >= 0) {
      at = &peer->next;
      continue;
    }
    *at = peer->next;
    if (peer->in != NULL) munmap(peer->in, peer->in_capacity);
    free(peer->out);
    free(peer);
  }
}

static void watch(struct peer *peer, bool output) {
  struct epoll_event event = {.events = EPOLLIN | (output ? EPOLLOUT : 0), .data.ptr = peer};
  epoll_ctl(epoll_fd, EPOLL_CTL_MOD, peer->fd, &event);
}

static void send_to(struct peer *client, const char *data, size_t size) {
  if (client->fd < 0 || size == 0) return;
  if (client->out_size == 0) {
    ssize_t sent = send(client->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      forget(client);
      return;
    }
    if (sent > 0) {
      data += sent;
      size -= (size_t)sent;
    }
    if (size == 0) return;
  }
  if (client->out_size + size > client->out_capacity) {
    size_t capacity = (client->out_size + size) * 2;
    char *out = capacity > CLIENT_OUT_BYTES_MAX ? NULL : realloc(client->out, capacity);
    if (out == NULL) {
      forget(client);
      return;
    }
    client->out = out;
    client->out_capacity = capacity;
  }
  memcpy(client->out + client->out_size, data, size);
  client->out_size += size;
  watch(client, true);
}

void send_pending(struct peer *client) {
  ssize_t sent = send(client->fd, client->out, client->out_size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) {
    if (errno != EAGAIN && errno != EINTR) forget(client);
    return;
  }
  client->out_size -= (size_t)sent;
  memmove(client->out, client->out + sent, client->out_size);
  if (client->out_size > 0) return;
  free(client->out);
  client->out = NULL;
  client->out_capacity = 0;
  watch(client, false);
}

void finish(struct peer *client, struct writer *writer) {
  size_t size = write_end(writer);
  if (size > 0)
    send_to(client, writer->data, size);
  else
    forget(client);
}

void write_error(struct writer *writer, struct field id, int error, const char *what) {
  write_begin(writer, reply_data, sizeof reply_data);
  write_field(writer, id.data, id.size);
  write_text(writer, "error");
  write_number(writer, (uint64_t)error);
  write_text(writer, what);
}

void reply_error(struct peer *client, struct field id, int error, const char *what) {
  struct writer writer;
  write_error(&writer, id, error, what);
  finish(client, &writer);
}

void broadcast(const char *event, const char *name, const char *text) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next) {
    if (peer->kind != CLIENT || !peer->subscribed || peer->fd < 0) continue;
    struct writer writer;
    write_begin(&writer, reply_data, sizeof reply_data);
    write_number(&writer, 0);
    write_text(&writer, event);
    write_text(&writer, name);
    write_text(&writer, text);
    finish(peer, &writer);
  }
}

struct peer *client_of(uint64_t number) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (peer->kind == CLIENT && peer->number == number && peer->fd >= 0) return peer;
  return NULL;
}

bool make_room(struct peer *client, size_t size) {
  if (client->in == NULL) {
    char *in = mmap(NULL, CLIENT_BYTES_MIN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (in == MAP_FAILED) return false;
    client->in = in;
    client->in_capacity = CLIENT_BYTES_MIN;
  }
  if (size <= client->in_capacity) return true;
  size_t capacity = (size + CLIENT_BYTES_MIN - 1) / CLIENT_BYTES_MIN * CLIENT_BYTES_MIN;
  char *in = mremap(client->in, client->in_capacity, capacity, MREMAP_MAYMOVE);
  if (in == MAP_FAILED) return false;
  client->in = in;
  client->in_capacity = capacity;
  return true;
}

void give_back_room(struct peer *client) {
  if (client->in_size > 0 || client->in_capacity <= CLIENT_BYTES_MIN) return;
  munmap(client->in, client->in_capacity);
  client->in = NULL;
  client->in_capacity = 0;
}

void shed(const struct peer *asking) {
  for (struct peer *peer = peers; peer != NULL; peer = peer->next)
    if (peer != asking && peer->in != NULL) munmap(peer->in, peer->in_capacity);
}
