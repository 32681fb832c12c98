/* What the files of the resident launcher share: those who are connected to it, and what it knows of its monitors. */
#ifndef NARU_SERVE_H
#define NARU_SERVE_H

#include "launcher.h"

#define NAME_BYTES_MAX 200

struct peer {
  enum { LISTENER, CLIENT, MONITOR } kind;
  int fd;
  struct peer *next;
  uint64_t number;
  /* CLIENT: what came and is not performed yet, what could not be sent yet. */
  char *in, *out;
  size_t in_size, in_capacity, out_size, out_capacity;
  bool subscribed;
  /* MONITOR: its container, and who waits for its start. */
  char name[NAME_BYTES_MAX + 1];
  uint64_t asked_by;
  char request_id[24];
  bool ended;
  /* MONITOR in the pool: what it was made for, and whether it waits for a plan's rest. */
  struct shape *shape;
  unsigned shape_version;
  bool ready;
};

/* The strings of the request that is performed, and room for an answer. */
extern struct field fields[FIELDS_MAX];
extern char reply_data[REPLY_BYTES_MAX];

/* --- peers.c ------------------------------------------------------------------------------------------------------------ */

extern int epoll_fd, client_count;
extern struct peer *peers;

/* Takes the file over; NULL when it cannot be watched. */
struct peer *add_peer(int kind, int fd);
void forget(struct peer *peer);
/* Only between rounds, when no event can still point at one. */
void free_forgotten(void);
struct peer *client_of(uint64_t number);
/* Room for so many bytes of requests; false without memory. */
bool make_room(struct peer *client, size_t size);
/* After a large request that was performed. */
void give_back_room(struct peer *client);
/* Gives the new monitor's memory back what only the launcher needs; the request's frame stays. */
void shed(const struct peer *asking);
void send_pending(struct peer *client);
/* Ends the frame and sends it, or what does not fit now later. */
void finish(struct peer *client, struct writer *writer);
/* The whole of an answer that something failed. */
void write_error(struct writer *writer, struct field id, int error, const char *what);
void reply_error(struct peer *client, struct field id, int error, const char *what);
void broadcast(const char *event, const char *name, const char *text);

/* --- monitors.c --------------------------------------------------------------------------------------------------------- */

/* Monitors begin with these; -1 before they are known. */
extern int containers;
extern struct apart apart;

/* The socket to a new monitor, or NULL with errno and what failed. */
struct peer *fork_monitor(const struct peer *asking, struct launch_request *request, const char **what);
/* That of a container which starts or runs; NULL when there is none. */
struct peer *monitor_of(struct field name);
/* The requests launch, exec and attach, whose arguments are in `fields`. */
void do_launch(struct peer *client, struct field id, int count);
void do_exec(struct peer *client, struct field id, int count);
void do_attach(struct peer *client, struct field id, int count);
void hear(struct peer *monitor);
/* Knows the monitor of an earlier launcher, which listens in its container's directory. */
void adopt(const char *name);

/* --- waiting.c ---------------------------------------------------------------------------------------------------------- */

/* Somebody asked for something, or was told. */
void note_busy(void);
/* A monitor has gone: the moment for another, when nobody waits for a start. */
void note_gone(void);
/* Milliseconds until one more sandbox, or a spare monitor, should be made; -1: none is lacking. */
int fill_pool_when_quiet(void);
/* pool <wanted> <ops…>: how many wait already. */
int set_pool(struct op_call *call);
/* One that waits for just this, or a spare one: it has the rest now, and is no more in the pool. NULL when there is none. */
struct peer *take_pooled(int count);
/* What one in the pool says: ready, or failed. */
void hear_pooled(struct peer *monitor);

#endif
