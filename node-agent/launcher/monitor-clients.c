/* A monitor's clients: those that attached to its container, or the one that asked for an exec. They get the process's output and give it
   its input. */
#include "kernel.h"
#include "monitor.h"

#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <termios.h>

#define CLIENT_BYTES_MAX (48u * 1024)
#define CLIENT_LINGER_MS_MAX 2000
#define CLIENT_SEND_SECONDS_MAX 5

struct client {
  int fd;
  char *in;
  size_t in_size;
  /* Of the stdin frame at the front of `in`, what was written already. */
  size_t stdin_done;
};

static struct client clients[CLIENTS_MAX];
static char frame[CHUNK_BYTES + 256];

void forget_clients(void) {
  for (int i = 0; i < CLIENTS_MAX; i++) clients[i].fd = -1;
}

bool send_all(int fd, const char *data, size_t size) {
  while (size > 0) {
    ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    data += sent;
    size -= (size_t)sent;
  }
  return true;
}

static void drop_client(struct client *client) {
  close(client->fd);
  if (client->in != NULL) munmap(client->in, CLIENT_BYTES_MAX);
  *client = (struct client){.fd = -1};
  monitor.stdin_full = false;
  if (monitor.is_exec && monitor.launch.pid > 0) sys_pidfd_send_signal(monitor.launch.pidfd, SIGKILL);
}

static void send_frame(struct client *client, struct writer *writer) {
  size_t size = write_end(writer);
  if (size > 0 && !send_all(client->fd, writer->data, size)) drop_client(client);
}

void send_output(const char *stream, const char *data, size_t size) {
  for (int i = 0; i < CLIENTS_MAX; i++) {
    if (clients[i].fd < 0) continue;
    struct writer writer;
    write_begin(&writer, frame, sizeof frame);
    write_text(&writer, stream);
    write_field(&writer, data, size);
    send_frame(&clients[i], &writer);
  }
}

/* A socket that closes with something unread makes the other side forget what it has not read either: the exit, perhaps. So we read
   what still comes until they have hung up. */
static void read_to_end(int fd) {
  char rest[4096];
  int64_t end_ms = now_ms() + CLIENT_LINGER_MS_MAX;
  shutdown(fd, SHUT_WR);
  for (int64_t left_ms; (left_ms = end_ms - now_ms()) > 0;) {
    struct pollfd file = {.fd = fd, .events = POLLIN};
    if (poll(&file, 1, (int)left_ms) > 0 && recv(fd, rest, sizeof rest, MSG_DONTWAIT) <= 0 && errno != EAGAIN) return;
  }
}

void send_exit(int code) {
  for (int i = 0; i < CLIENTS_MAX; i++) {
    if (clients[i].fd < 0) continue;
    struct writer writer;
    write_begin(&writer, frame, sizeof frame);
    write_text(&writer, "exit");
    write_number(&writer, (uint64_t)code);
    send_frame(&clients[i], &writer);
  }
  for (int i = 0; i < CLIENTS_MAX; i++)
    if (clients[i].fd >= 0) read_to_end(clients[i].fd);
}

bool add_client(int fd) {
  for (int i = 0; i < CLIENTS_MAX; i++) {
    if (clients[i].fd >= 0) continue;
    char *in = mmap(NULL, CLIENT_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (in == MAP_FAILED) break;
    /* A client that does not read holds up its own exec for as long as it likes, but not a container. */
    if (!monitor.is_exec) {
      struct timeval limit = {.tv_sec = CLIENT_SEND_SECONDS_MAX};
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    clients[i] = (struct client){.fd = fd, .in = in};
    return true;
  }
  close(fd);
  return false;
}

static void close_stdin(void) {
  if (monitor.launch.in < 0) return;
  if (monitor.launch.terminal) {
    char end = 4;
    (void)!write(monitor.launch.in, &end, 1);
    return;
  }
  close(monitor.launch.in);
  monitor.launch.in = -1;
}

static void resize(struct field columns_text, struct field rows_text) {
  uint64_t columns, rows;
  if (!monitor.launch.terminal || monitor.launch.out < 0 || !field_number(columns_text, 65535, &columns) || !field_number(rows_text, 65535, &rows)) return;
  struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
  ioctl(monitor.launch.out, TIOCSWINSZ, &size);
}

/* Performs the frames that are there. False when stdin takes no more for now, or the client was dropped. */
static bool handle_frames(struct client *client) {
  for (;;) {
    uint32_t size;
    if (client->in_size < sizeof size) return true;
    memcpy(&size, client->in, sizeof size);
    if (size > CLIENT_BYTES_MAX - sizeof size) goto bad;
    if (client->in_size - sizeof size < size) return true;
    struct field fields[4];
    struct reader reader = {.at = client->in + sizeof size, .end = client->in + sizeof size + size};
    int count = read_fields(reader, fields, 4);
    if (count < 1) goto bad;
    if (count == 2 && field_is(fields[0], "stdin")) {
      while (monitor.launch.in >= 0 && client->stdin_done < fields[1].size) {
        ssize_t wrote = write(monitor.launch.in, fields[1].data + client->stdin_done, fields[1].size - client->stdin_done);
        if (wrote < 0 && errno == EAGAIN) {
          monitor.stdin_full = true;
          return false;
        }
        if (wrote < 0 && errno != EINTR) {
          /* The program closed its end: what still comes is dropped. */
          if (!monitor.launch.terminal) {
            close(monitor.launch.in);
            monitor.launch.in = -1;
          }
          break;
        }
        if (wrote > 0) client->stdin_done += (size_t)wrote;
      }
      client->stdin_done = 0;
    } else if (count == 1 && field_is(fields[0], "stdin-end")) {
      close_stdin();
    } else if (count == 3 && field_is(fields[0], "resize")) {
      resize(fields[1], fields[2]);
    } else {
      goto bad;
    }
    client->in_size -= sizeof size + size;
    memmove(client->in, client->in + sizeof size + size, client->in_size);
  }
bad:
  drop_client(client);
  return false;
}

static void read_client(struct client *client) {
  ssize_t got = recv(client->fd, client->in + client->in_size, CLIENT_BYTES_MAX - client->in_size, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    drop_client(client);
    return;
  }
  client->in_size += (size_t)got;
  handle_frames(client);
}

void retry_stdin(void) {
  monitor.stdin_full = false;
  for (int i = 0; i < CLIENTS_MAX && !monitor.stdin_full; i++)
    if (clients[i].fd >= 0) handle_frames(&clients[i]);
}

void poll_clients(struct pollfd *polls) {
  for (int i = 0; i < CLIENTS_MAX; i++)
    /* While stdin is full only a hang-up matters. */
    polls[i] = (struct pollfd){.fd = clients[i].fd, .events = monitor.stdin_full ? POLLRDHUP : POLLIN};
}

void hear_clients(const struct pollfd *polls) {
  for (int i = 0; i < CLIENTS_MAX; i++) {
    if (clients[i].fd < 0 || clients[i].fd != polls[i].fd || polls[i].revents == 0) continue;
    if (monitor.stdin_full && !(polls[i].revents & POLLIN))
      drop_client(&clients[i]);
    else if (!monitor.stdin_full)
      read_client(&clients[i]);
  }
}
