/* A monitor: the parent of one container's (or exec's) first process. It performs the launch plan, keeps the process's stdio, and
   records its end. It outlives agent and launcher, so it stays small and needs neither. */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>

#define CLIENTS_MAX 8
#define CLIENT_BYTES_MAX (48u * 1024)
#define CHUNK_BYTES 8192
#define CLIENT_LINGER_MS_MAX 2000
#define CLIENT_SEND_SECONDS_MAX 5
#define HOLD_MS_MAX 5000

/* Someone attached, or the one that asked for an exec. */
struct client {
  int fd;
  char *in;
  size_t in_size;
  /* Of the stdin frame at the front of `in`, what was written already. */
  size_t stdin_done;
};

static struct launch launch;
static struct log log_file;
static struct client clients[CLIENTS_MAX];
static int directory = -1, listener = -1, control = -1, mounts = -1;
static bool is_exec;
static bool stdin_full;
static char chunk[CHUNK_BYTES];
static char frame[CHUNK_BYTES + 256];

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int write_file(const char *path, const void *data, size_t size) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t wrote;
  do wrote = write(fd, data, size);
  while (wrote < 0 && errno == EINTR);
  int error = wrote == (ssize_t)size ? 0 : wrote < 0 ? errno : EIO;
  close(fd);
  errno = error;
  return error == 0 ? 0 : -1;
}

uint64_t process_start(pid_t pid) {
  char path[32], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  /* The name may hold spaces and brackets; the last bracket ends it. Then the state, field 3; the start is field 22. */
  char *at = strrchr(text, ')');
  for (int field = 2; at != NULL && field < 22; field++) at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoull(at + 1, NULL, 10);
}

/* A small file of the container's directory. Its last byte, a newline, says that it is whole. */
static int record(const char *name, const char *text) {
  int fd = openat(directory, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return -1;
  ssize_t wrote = write(fd, text, strlen(text));
  close(fd);
  return wrote == (ssize_t)strlen(text) ? 0 : -1;
}

static uint64_t read_counter(struct field path, struct field key) {
  char text[2048];
  int fd = path.size == 0 ? -1 : open(path.data, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  if (size <= 0) return 0;
  text[size] = 0;
  for (char *line = text; line != NULL; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, key.data, key.size) == 0 && line[key.size] == ' ') return strtoull(line + key.size + 1, NULL, 10);
  }
  return 0;
}

/* --- to the launcher ------------------------------------------------------------------------------------------------ */

static void tell(struct writer *writer) {
  size_t size = write_end(writer);
  if (control >= 0 && size > 0) send(control, writer->data + 4, size - 4, MSG_NOSIGNAL);
}

static void tell_failed(int error, const char *what, int index) {
  char data[1024];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_text(&writer, "failed");
  write_number(&writer, (uint64_t)error);
  write_text(&writer, what);
  write_number(&writer, (uint64_t)index);
  tell(&writer);
}

/* --- clients -------------------------------------------------------------------------------------------------------- */

static bool send_all(int fd, const char *data, size_t size) {
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
  stdin_full = false;
  if (is_exec && launch.pid > 0) sys_pidfd_send_signal(launch.pidfd, SIGKILL);
}

static void send_frame(struct client *client, struct writer *writer) {
  size_t size = write_end(writer);
  if (size > 0 && !send_all(client->fd, writer->data, size)) drop_client(client);
}

static void send_output(const char *stream, const char *data, size_t size) {
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

static void send_exit(int code) {
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

static struct client *add_client(int fd) {
  for (int i = 0; i < CLIENTS_MAX; i++) {
    if (clients[i].fd >= 0) continue;
    char *in = mmap(NULL, CLIENT_BYTES_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (in == MAP_FAILED) break;
    /* A client that does not read holds up its own exec for as long as it likes, but not a container. */
    if (!is_exec) {
      struct timeval limit = {.tv_sec = CLIENT_SEND_SECONDS_MAX};
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    }
    clients[i] = (struct client){.fd = fd, .in = in};
    return &clients[i];
  }
  close(fd);
  return NULL;
}

static void close_stdin(void) {
  if (launch.in < 0) return;
  if (launch.terminal) {
    char end = 4;
    (void)!write(launch.in, &end, 1);
    return;
  }
  close(launch.in);
  launch.in = -1;
}

static void resize(struct field columns_text, struct field rows_text) {
  uint64_t columns, rows;
  if (!launch.terminal || launch.out < 0 || !field_number(columns_text, 65535, &columns) || !field_number(rows_text, 65535, &rows)) return;
  struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
  ioctl(launch.out, TIOCSWINSZ, &size);
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
      while (launch.in >= 0 && client->stdin_done < fields[1].size) {
        ssize_t wrote = write(launch.in, fields[1].data + client->stdin_done, fields[1].size - client->stdin_done);
        if (wrote < 0 && errno == EAGAIN) {
          stdin_full = true;
          return false;
        }
        if (wrote < 0 && errno != EINTR) {
          /* The program closed its end: what still comes is dropped. */
          if (!launch.terminal) {
            close(launch.in);
            launch.in = -1;
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

static void retry_stdin(void) {
  stdin_full = false;
  for (int i = 0; i < CLIENTS_MAX && !stdin_full; i++)
    if (clients[i].fd >= 0) handle_frames(&clients[i]);
}

/* --- output --------------------------------------------------------------------------------------------------------- */

/* False at the end, or when nothing is there now. */
static bool read_output(int *fd, const char *stream) {
  if (*fd < 0) return false;
  ssize_t got = read(*fd, chunk, sizeof chunk);
  if (got > 0) {
    log_write(&log_file, stream, chunk, (size_t)got);
    send_output(stream, chunk, (size_t)got);
    return true;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  close(*fd);
  if (launch.terminal) {
    launch.in = -1;
    stdin_full = false;
  }
  *fd = -1;
  return false;
}

static void drain_output(void) {
  /* What the process itself left in the pipes; a process that it left behind could write for ever. */
  for (int i = 0; i < 256 && read_output(&launch.out, "stdout"); i++) continue;
  for (int i = 0; i < 256 && read_output(&launch.err, "stderr"); i++) continue;
}

/* --- launcher and newcomers ----------------------------------------------------------------------------------------- */

static void attach(int fd, struct field request_id) {
  /* The launcher never waits for a client; here the limit on sending does its work. */
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  struct client *client = add_client(fd);
  if (client == NULL) return;
  struct writer writer;
  write_begin(&writer, frame, sizeof frame);
  write_field(&writer, request_id.data, request_id.size);
  write_text(&writer, "ok");
  write_number(&writer, (uint64_t)launch.pid);
  send_frame(client, &writer);
  launch.hold_output = false;
}

static void read_control(void) {
  char data[256];
  struct iovec part = {.iov_base = data, .iov_len = sizeof data};
  union {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } space = {0};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = space.bytes, .msg_controllen = sizeof space.bytes};
  ssize_t got = recvmsg(control, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    close(control);
    control = -1;
    return;
  }
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  int fd = -1;
  if (head != NULL && head->cmsg_type == SCM_RIGHTS) memcpy(&fd, CMSG_DATA(head), sizeof fd);
  struct field fields[2];
  struct reader reader = {.at = data, .end = data + got};
  if (read_fields(reader, fields, 2) == 2 && field_is(fields[0], "attach") && fd >= 0)
    attach(fd, fields[1]);
  else if (fd >= 0)
    close(fd);
}

static void accept_launcher(void) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  struct ucred who;
  socklen_t size = sizeof who;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) != 0 || who.uid != 0) {
    close(fd);
    return;
  }
  if (control >= 0) close(control);
  control = fd;
}

static int listen_in_directory(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/monitor", directory);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  int bound = bind(fd, (struct sockaddr *)&address, sizeof address);
  if (bound != 0 && errno == EADDRINUSE) {
    /* Of a monitor that was killed while it started nobody listens any more. */
    /* Asked in another socket type: who does listen says that it is the wrong one, and takes us for no launcher. */
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool free_again = other >= 0 && connect(other, (struct sockaddr *)&address, sizeof address) != 0 && errno == ECONNREFUSED;
    if (other >= 0) close(other);
    if (free_again && unlinkat(directory, "monitor", 0) == 0) bound = bind(fd, (struct sockaddr *)&address, sizeof address);
    else errno = EADDRINUSE;
  }
  if (bound != 0 || listen(fd, 4) != 0) {
    int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

/* --- a life --------------------------------------------------------------------------------------------------------- */

/* What is asked of the kernel about both processes, while the child is still at work. */
static struct {
  uint64_t child_start, own_start, oom_kills;
} known;

static void learn(void) {
  known.child_start = process_start(launch.pid);
  known.own_start = process_start(getpid());
  known.oom_kills = read_counter(launch.oom_path, launch.oom_key);
}

/* The container's mounts stay as long as this file: taking them apart takes the kernel longer than all else of an end, and who waits
   for that need not wait for it too. Not where the child leaves them for a copy of its own. */
static void hold_mounts(void) {
  char path[40];
  if (!launch.is_apart || launch.user_namespace >= 0) return;
  snprintf(path, sizeof path, "/proc/%d/ns/mnt", launch.pid);
  mounts = open(path, O_RDONLY | O_CLOEXEC);
}

/* Waits until the child executes its program: 0, or -errno with call->what and *index. */
static int wait_for_exec(int *index, struct op_call *call) {
  struct report report;
  for (bool about_to = false;;) {
    read_report(&launch, &report);
    switch (report.kind) {
      case REPORT_TERMINAL:
        launch.in = launch.out = report.fd;
        break;
      case REPORT_EXEC:
        about_to = true;
        break;
      case REPORT_END:
        return about_to ? 0 : op_fail(call, ECHILD, "the container's process was ended before it began");
      case REPORT_FAILED:
        *index = report.index;
        return op_fail(call, report.error, "%s", report.what);
      case REPORT_SYNC:
      case REPORT_WAITING:
        return op_fail(call, EINVAL, "the plan waits for a caller that no monitor has");
    }
  }
}

static void fill_standard_files(void) {
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++) dup2(null, fd);
  if (null > 2) close(null);
}

static void make_nonblocking(int fd) {
  if (fd >= 0) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* --- in the pool ---------------------------------------------------------------------------------------------------- */

static char pooled_bytes[POOLED_BYTES_MAX];
static struct field pooled_fields[FIELDS_MAX], pooled_rest;

/* Until the launcher has a container for it. Ends with the launcher, and with the child. */
static size_t wait_for_request(void) {
  for (;;) {
    struct pollfd polls[] = {{.fd = control, .events = POLLIN}, {.fd = launch.pidfd, .events = POLLIN}};
    if (poll(polls, 2, -1) < 0) continue;
    ssize_t got = polls[0].revents ? recv(control, pooled_bytes, sizeof pooled_bytes, MSG_DONTWAIT) : -1;
    if (got > 0) return (size_t)got;
    if (got == 0 || polls[1].revents) {
      sys_pidfd_send_signal(launch.pidfd, SIGKILL);
      _exit(0);
    }
  }
}

/* Performs the beginning of a plan, and waits for the rest: request is then what is asked for. */
static void wait_in_pool(struct launch_request *request) {
  int index = 0;
  struct op_call call = {0};
  struct report report = {.kind = REPORT_FAILED};
  launch.pooled = true;
  int result = plan_run(&launch, request->ops, request->count, &index, &call);
  if (result == 0) read_report(&launch, &report);
  if (report.kind != REPORT_WAITING) {
    tell_failed(result < 0 ? -result : report.error, result < 0 ? call.what : report.what, result < 0 ? index : report.index);
    _exit(1);
  }
  struct writer writer;
  char data[32];
  write_begin(&writer, data, sizeof data);
  write_text(&writer, "ready");
  tell(&writer);
  size_t size = wait_for_request();
  struct reader reader = {.at = pooled_bytes, .end = pooled_bytes + size};
  launch.ahead = request->count;
  if (read_field(&reader, &request->name) != 1) _exit(1);
  pooled_rest = (struct field){.data = reader.at, .size = (size_t)(reader.end - reader.at)};
  request->ops = pooled_fields;
  request->count = read_fields(reader, pooled_fields, FIELDS_MAX);
  if (request->count < 1) _exit(1);
}

static int start(int containers, const struct launch_request *request, int *index, struct op_call *call) {
  if (!is_exec) {
    directory = openat(containers, request->name.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (directory < 0) return op_fail(call, errno, "open container %.200s", request->name.data);
    listener = listen_in_directory();
    if (listener < 0) return op_fail(call, errno == EADDRINUSE ? EALREADY : errno, "start container %.200s", request->name.data);
  }
  int result = request->pooled ? plan_monitor(&launch, request->ops, request->count, pooled_rest, index, call)
                               : plan_run(&launch, request->ops, request->count, index, call);
  if (result == 0) {
    /* The child has its own copies of its ends; several may be the same file. */
    for (int i = 0; i < 3; i++) {
      int fd = launch.child_stdio[i];
      for (int j = i; j < 3; j++)
        if (launch.child_stdio[j] == fd) launch.child_stdio[j] = -1;
      if (fd >= 0) close(fd);
    }
    if (!is_exec && !delegated()) {
      learn();
      hold_mounts();
    }
    result = wait_for_exec(index, call);
    if (result == 0 && delegated()) {
      result = delegate_start(&launch, call);
      learn();
    }
  }
  if (result < 0) {
    if (launch.pid > 0) {
      sys_pidfd_send_signal(launch.pidfd, SIGKILL);
      waitpid(launch.pid, NULL, __WALL);
    }
    if (listener >= 0) unlinkat(directory, "monitor", 0);
  }
  return result;
}

static void reply_stream(const struct launch_request *request, int result, const char *what, int index) {
  struct writer writer;
  write_begin(&writer, frame, sizeof frame);
  write_field(&writer, request->request_id.data, request->request_id.size);
  write_text(&writer, result == 0 ? "ok" : "error");
  if (result == 0) {
    write_number(&writer, (uint64_t)launch.pid);
  } else {
    write_number(&writer, (uint64_t)-result);
    write_text(&writer, what);
    write_number(&writer, (uint64_t)index);
  }
  size_t size = write_end(&writer);
  send_all(request->stream, frame, size);
}

/* Until the process has ended, and whoever it was held for has come or does not come: its wait status. */
static int supervise(void) {
  int64_t hold_until_ms = now_ms() + HOLD_MS_MAX;
  int status = 0;
  bool ended = false;
  for (;;) {
    int64_t hold_ms = launch.hold_output ? hold_until_ms - now_ms() : 0;
    /* The clock may have been set meanwhile. */
    if (hold_ms <= 0 || hold_ms > HOLD_MS_MAX) launch.hold_output = false;
    if (ended && !launch.hold_output) return status;
    struct pollfd polls[6 + CLIENTS_MAX];
    polls[0] = (struct pollfd){.fd = ended ? -1 : launch.pidfd, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = launch.hold_output ? -1 : launch.out, .events = POLLIN};
    polls[2] = (struct pollfd){.fd = launch.hold_output ? -1 : launch.err, .events = POLLIN};
    polls[3] = (struct pollfd){.fd = listener, .events = POLLIN};
    polls[4] = (struct pollfd){.fd = control, .events = POLLIN};
    polls[5] = (struct pollfd){.fd = stdin_full ? launch.in : -1, .events = POLLOUT};
    for (int i = 0; i < CLIENTS_MAX; i++)
      /* While stdin is full only a hang-up matters. */
      polls[6 + i] = (struct pollfd){.fd = clients[i].fd, .events = stdin_full ? POLLRDHUP : POLLIN};
    if (poll(polls, 6 + CLIENTS_MAX, launch.hold_output ? (int)hold_ms : -1) < 0) continue;
    if (polls[1].revents) read_output(&launch.out, "stdout");
    if (polls[2].revents) read_output(&launch.err, "stderr");
    if (polls[3].revents) accept_launcher();
    if (polls[4].revents && control == polls[4].fd) read_control();
    if (polls[5].revents) retry_stdin();
    for (int i = 0; i < CLIENTS_MAX; i++) {
      if (clients[i].fd < 0 || clients[i].fd != polls[6 + i].fd || polls[6 + i].revents == 0) continue;
      if (stdin_full && !(polls[6 + i].revents & POLLIN))
        drop_client(&clients[i]);
      else if (!stdin_full)
        read_client(&clients[i]);
    }
    if (polls[0].revents && waitpid(launch.pid, &status, __WALL | WNOHANG) == launch.pid) ended = true;
  }
}

/* From here on it reads what a stranger's program writes, and has its own files. It may still have to kill that program. */
static void keep_kill_alone(void) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {{.effective = 1u << CAP_KILL, .permitted = 1u << CAP_KILL}};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capset, &head, data) != 0) _exit(1);
}

static void name_process(const struct launch_request *request) {
  char title[128];
  snprintf(title, sizeof title, request->pooled && request->name.size == 0 ? "naru-waiting" : is_exec ? "naru-exec" : "naru-monitor %.100s",
           request->name.data);
  set_title(title);
}

_Noreturn void monitor_run(int containers, const struct apart *apart, const struct launch_request *asked) {
  struct launch_request own = *asked, *request = &own;
  is_exec = request->stream >= 0;
  control = request->control;
  for (int i = 0; i < CLIENTS_MAX; i++) clients[i].fd = -1;
  fill_standard_files();
  int keep[] = {request->control, request->stream, containers, apart->namespace, apart->home, apart->home_root};
  close_all_but(3, keep, sizeof keep / sizeof keep[0]);
  setsid();
  signal(SIGCHLD, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  launch = (struct launch)LAUNCH_NONE;
  launch.containers = containers;
  launch.apart = *apart;
  crash_prepare(containers);
  name_process(request);
  if (request->pooled) {
    wait_in_pool(request);
    crash_prepare(containers);
    name_process(request);
  }
  int index = 0;
  struct op_call call = {0};
  int result = start(containers, request, &index, &call);
  if (is_exec) reply_stream(request, result, call.what, index);
  if (result < 0) {
    if (!is_exec) tell_failed(-result, call.what, index);
    _exit(1);
  }
  close(launch.report);
  close(apart->namespace);
  close(apart->home);
  close(apart->home_root);
  make_nonblocking(launch.in);
  make_nonblocking(launch.out);
  make_nonblocking(launch.err);
  if (is_exec && add_client(request->stream) == NULL) _exit(1);
  int64_t started_ms = now_ms();
  char text[256];
  if (!is_exec) {
    snprintf(text, sizeof text, "%d %llu %d %llu %lld\n", launch.pid, (unsigned long long)known.child_start, getpid(),
             (unsigned long long)known.own_start, (long long)started_ms);
    crash_point(&launch, CRASH_BEFORE_STATUS);
    record("status", text);
    crash_point(&launch, CRASH_AFTER_STATUS);
    struct writer writer;
    char data[256];
    write_begin(&writer, data, sizeof data);
    write_text(&writer, "started");
    write_text(&writer, text);
    tell(&writer);
  }
  keep_kill_alone();
  /* Its path lies in the frame that asked, which stays mapped. */
  log_open(&log_file, launch.log_path.data, launch.log_bytes_max, (unsigned)launch.log_files_max);
  int status = supervise();
  drain_output();
  int64_t finished_ms = now_ms();
  int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  int code = signal_number > 0 ? 128 + signal_number : WEXITSTATUS(status);
  if (is_exec) {
    send_exit(code);
    _exit(0);
  }
  bool oom = read_counter(launch.oom_path, launch.oom_key) > known.oom_kills;
  snprintf(text, sizeof text, "%d %d %d %lld %lld\n", code, signal_number, oom ? 1 : 0, (long long)started_ms, (long long)finished_ms);
  crash_point(&launch, CRASH_BEFORE_EXIT);
  record("exit", text);
  crash_point(&launch, CRASH_AFTER_EXIT);
  unlinkat(directory, "monitor", 0);
  struct writer writer;
  char data[256];
  write_begin(&writer, data, sizeof data);
  write_text(&writer, "exited");
  write_text(&writer, text);
  tell(&writer);
  if (mounts >= 0) close(mounts);
  send_exit(code);
  _exit(0);
}
