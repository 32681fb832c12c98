/* A monitor: the parent of one container's (or exec's) first process. It performs the launch plan, keeps the process's stdio, and
   records its end. It outlives agent and launcher, so it stays small and needs neither. */
#include "kernel.h"
#include "monitor.h"

#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define HOLD_MS_MAX 5000

struct monitor monitor = {.directory = -1, .listener = -1, .control = -1, .mounts = -1};

static struct field pooled_rest;
static char chunk[CHUNK_BYTES];

/* --- output --------------------------------------------------------------------------------------------------------- */

/* False at the end, or when nothing is there now. */
static bool read_output(int *fd, const char *stream) {
  if (*fd < 0) return false;
  ssize_t got = read(*fd, chunk, sizeof chunk);
  if (got > 0) {
    log_write(&monitor.log, stream, chunk, (size_t)got);
    send_output(stream, chunk, (size_t)got);
    return true;
  }
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  close(*fd);
  if (monitor.launch.terminal) {
    monitor.launch.in = -1;
    monitor.stdin_full = false;
  }
  *fd = -1;
  return false;
}

static void drain_output(void) {
  /* What the process itself left in the pipes; a process that it left behind could write for ever. */
  for (int i = 0; i < 256 && read_output(&monitor.launch.out, "stdout"); i++) continue;
  for (int i = 0; i < 256 && read_output(&monitor.launch.err, "stderr"); i++) continue;
}

/* --- the start ------------------------------------------------------------------------------------------------------ */

/* What is asked of the kernel about both processes, while the child is still at work. */
static struct {
  uint64_t child_start, own_start, oom_kills;
} known;

void learn_starts(void) {
  if (known.own_start == 0) known.own_start = process_start(getpid());
  if (known.child_start == 0 && monitor.launch.pid > 0) known.child_start = process_start(monitor.launch.pid);
}

static void learn(void) {
  learn_starts();
  /* Nobody has been killed in a cgroup that was made for this. */
  if (delegated() || monitor.launch.cgroup_reused) known.oom_kills = read_counter(monitor.launch.oom_path, monitor.launch.oom_key);
}

/* The container's monitor.mounts stay as long as this file: taking them apart takes the kernel longer than all else of an end, and who waits
   for that need not wait for it too. Not where the child leaves them for a copy of its own. */
static void hold_mounts(void) {
  char path[40];
  if (!monitor.launch.is_apart || monitor.launch.user_namespace >= 0) return;
  snprintf(path, sizeof path, "/proc/%d/ns/mnt", monitor.launch.pid);
  monitor.mounts = open_path(path, O_RDONLY);
}

/* Waits until the child executes its program: 0, or -errno with call->what and *index. */
static int wait_for_exec(int *index, struct op_call *call) {
  struct report report;
  for (bool about_to = false;;) {
    read_report(&monitor.launch, &report);
    switch (report.kind) {
      case REPORT_TERMINAL:
        monitor.launch.in = monitor.launch.out = report.fd;
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

static int start(int containers, const struct launch_request *request, int *index, struct op_call *call) {
  if (!monitor.is_exec) {
    monitor.directory = openat(containers, request->name.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (monitor.directory < 0) return op_fail(call, errno, "open container %.200s", request->name.data);
    monitor.listener = listen_in_directory();
    if (monitor.listener < 0) return op_fail(call, errno == EADDRINUSE ? EALREADY : errno, "start container %.200s", request->name.data);
  }
  int result = request->pooled ? plan_monitor(&monitor.launch, request->ops, request->count, pooled_rest, index, call)
                               : plan_run(&monitor.launch, request->ops, request->count, index, call);
  if (result == 0) {
    /* The child has its own copies of its ends; several may be the same file. */
    for (int i = 0; i < 3; i++) {
      int fd = monitor.launch.child_stdio[i];
      for (int j = i; j < 3; j++)
        if (monitor.launch.child_stdio[j] == fd) monitor.launch.child_stdio[j] = -1;
      if (fd >= 0) close(fd);
    }
    if (!monitor.is_exec && !delegated()) {
      learn();
      hold_mounts();
    }
    result = wait_for_exec(index, call);
    if (result == 0 && delegated()) {
      result = delegate_start(&monitor.launch, call);
      learn();
    }
  }
  if (result < 0) {
    if (monitor.launch.pid > 0) {
      sys_pidfd_send_signal(monitor.launch.pidfd, SIGKILL);
      waitpid(monitor.launch.pid, NULL, __WALL);
    }
    if (monitor.listener >= 0) unlinkat(monitor.directory, "monitor", 0);
  }
  return result;
}

static void reply_stream(const struct launch_request *request, int result, const char *what, int index) {
  char data[1024];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_field(&writer, request->request_id.data, request->request_id.size);
  write_text(&writer, result == 0 ? "ok" : "error");
  if (result == 0) {
    write_number(&writer, (uint64_t)monitor.launch.pid);
  } else {
    write_number(&writer, (uint64_t)-result);
    write_text(&writer, what);
    write_number(&writer, (uint64_t)index);
  }
  size_t size = write_end(&writer);
  send_all(request->stream, data, size);
}

/* Until the process has ended, and whoever it was held for has come or does not come: its wait status. */
static int supervise(void) {
  int64_t hold_until_ms = now_ms() + HOLD_MS_MAX;
  int status = 0;
  bool ended = false;
  for (;;) {
    int64_t hold_ms = monitor.launch.hold_output ? hold_until_ms - now_ms() : 0;
    /* The clock may have been set meanwhile. */
    if (hold_ms <= 0 || hold_ms > HOLD_MS_MAX) monitor.launch.hold_output = false;
    if (ended && !monitor.launch.hold_output) return status;
    struct pollfd polls[6 + CLIENTS_MAX];
    polls[0] = (struct pollfd){.fd = ended ? -1 : monitor.launch.pidfd, .events = POLLIN};
    polls[1] = (struct pollfd){.fd = monitor.launch.hold_output ? -1 : monitor.launch.out, .events = POLLIN};
    polls[2] = (struct pollfd){.fd = monitor.launch.hold_output ? -1 : monitor.launch.err, .events = POLLIN};
    polls[3] = (struct pollfd){.fd = monitor.listener, .events = POLLIN};
    polls[4] = (struct pollfd){.fd = monitor.control, .events = POLLIN};
    polls[5] = (struct pollfd){.fd = monitor.stdin_full ? monitor.launch.in : -1, .events = POLLOUT};
    poll_clients(polls + 6);
    if (poll(polls, 6 + CLIENTS_MAX, monitor.launch.hold_output ? (int)hold_ms : -1) < 0) continue;
    if (polls[1].revents) read_output(&monitor.launch.out, "stdout");
    if (polls[2].revents) read_output(&monitor.launch.err, "stderr");
    if (polls[3].revents) accept_launcher();
    if (polls[4].revents && monitor.control == polls[4].fd) read_control();
    if (polls[5].revents) retry_stdin();
    hear_clients(polls + 6);
    if (polls[0].revents && waitpid(monitor.launch.pid, &status, __WALL | WNOHANG) == monitor.launch.pid) ended = true;
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
  const char *waiting = request->count == 0 ? "naru-spare" : "naru-waiting";
  bool waits = request->pooled && request->name.size == 0;
  snprintf(title, sizeof title, waits ? "%s" : monitor.is_exec ? "naru-exec" : "naru-monitor %.100s", waits ? waiting : request->name.data);
  set_title(title);
}

_Noreturn void monitor_run(int containers, const struct apart *apart, const struct launch_request *asked) {
  struct launch_request own = *asked, *request = &own;
  monitor.is_exec = request->stream >= 0;
  monitor.control = request->control;
  forget_clients();
  fill_standard_files();
  int keep[] = {request->control, request->stream, containers, apart->namespace, apart->home, apart->home_root};
  close_all_but(3, keep, sizeof keep / sizeof keep[0]);
  setsid();
  signal(SIGCHLD, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  monitor.launch = (struct launch)LAUNCH_NONE;
  monitor.launch.containers = containers;
  monitor.launch.apart = *apart;
  crash_prepare(containers);
  name_process(request);
  if (request->pooled) {
    wait_in_pool(request, &pooled_rest);
    crash_prepare(containers);
    name_process(request);
  }
  int index = 0;
  struct op_call call = {0};
  int result = start(containers, request, &index, &call);
  if (monitor.is_exec) reply_stream(request, result, call.what, index);
  if (result < 0) {
    if (!monitor.is_exec) tell_failed(-result, call.what, index);
    _exit(1);
  }
  close(monitor.launch.report);
  close(apart->namespace);
  close(apart->home);
  close(apart->home_root);
  make_nonblocking(monitor.launch.in);
  make_nonblocking(monitor.launch.out);
  make_nonblocking(monitor.launch.err);
  if (monitor.is_exec && !add_client(request->stream)) _exit(1);
  int64_t started_ms = now_ms();
  char text[256];
  if (!monitor.is_exec) {
    snprintf(text, sizeof text, "%d %llu %d %llu %lld\n", monitor.launch.pid, (unsigned long long)known.child_start, getpid(),
             (unsigned long long)known.own_start, (long long)started_ms);
    crash_point(&monitor.launch, CRASH_BEFORE_STATUS);
    write_record(monitor.directory, "status", text);
    crash_point(&monitor.launch, CRASH_AFTER_STATUS);
    struct writer writer;
    char data[256];
    write_begin(&writer, data, sizeof data);
    write_text(&writer, "started");
    write_text(&writer, text);
    tell(&writer);
  }
  keep_kill_alone();
  /* Its path lies in the frame that asked, which stays mapped. */
  log_open(&monitor.log, monitor.launch.log_path.data, monitor.launch.log_bytes_max, (unsigned)monitor.launch.log_files_max);
  int status = supervise();
  drain_output();
  int64_t finished_ms = now_ms();
  int signal_number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  int code = signal_number > 0 ? 128 + signal_number : WEXITSTATUS(status);
  if (monitor.is_exec) {
    send_exit(code);
    _exit(0);
  }
  bool oom = read_counter(monitor.launch.oom_path, monitor.launch.oom_key) > known.oom_kills;
  snprintf(text, sizeof text, "%d %d %d %lld %lld\n", code, signal_number, oom ? 1 : 0, (long long)started_ms, (long long)finished_ms);
  crash_point(&monitor.launch, CRASH_BEFORE_EXIT);
  write_record(monitor.directory, "exit", text);
  crash_point(&monitor.launch, CRASH_AFTER_EXIT);
  unlinkat(monitor.directory, "monitor", 0);
  struct writer writer;
  char data[256];
  write_begin(&writer, data, sizeof data);
  write_text(&writer, "exited");
  write_text(&writer, text);
  tell(&writer);
  if (monitor.mounts >= 0) close(monitor.mounts);
  send_exit(code);
  _exit(0);
}
