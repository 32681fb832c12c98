/* What the files of a monitor share. It looks after one process, so there is one of each. */
#ifndef NARU_MONITOR_H
#define NARU_MONITOR_H

#include "launcher.h"

#include <poll.h>

#define CLIENTS_MAX 8
#define CHUNK_BYTES 8192

struct monitor {
  struct launch launch;
  struct log log;
  /* Its container's directory, where the next launcher connects, and the launcher; mounts keeps the container's. */
  int directory, listener, control, mounts;
  bool is_exec;
  /* The process takes no more input for now. */
  bool stdin_full;
};

extern struct monitor monitor;

/* Asks when this process and its child began, as far as they are there and that is not known. */
void learn_starts(void);

/* --- monitor-clients.c -------------------------------------------------------------------------------------------------- */

void forget_clients(void);
/* Takes the file over; false when there are too many. */
bool add_client(int fd);
bool send_all(int fd, const char *data, size_t size);
void send_output(const char *stream, const char *data, size_t size);
/* Their last frame; waits a while for them to read it. */
void send_exit(int code);
/* CLIENTS_MAX of them. */
void poll_clients(struct pollfd *polls);
void hear_clients(const struct pollfd *polls);
void retry_stdin(void);

/* --- monitor-launcher.c ------------------------------------------------------------------------------------------------- */

/* Ends the frame and sends it. */
void tell(struct writer *writer);
void tell_failed(int error, const char *what, int index);
void read_control(void);
void accept_launcher(void);
/* The socket `monitor` in its directory; EADDRINUSE when another monitor listens there. */
int listen_in_directory(void);

/* --- monitor-pool.c ----------------------------------------------------------------------------------------------------- */

/* Performs the beginning of a plan, and waits for the rest: request is then what is asked for, and *rest its bytes. Without a beginning
   it is a request like any other from then on. */
void wait_in_pool(struct launch_request *request, struct field *rest);

#endif
