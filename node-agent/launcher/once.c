/* naru-launcher once: performs a single plan for a caller that wants its process for a child, as OCI runtimes' callers do. No
   monitor stays. The caller speaks frames over its end of `control`: first the plan's ops; then it hears
     sync <pid> <start>     the plan waits; "go" lets it go on, anything else ends it
     started <pid> <start>  the program executes, or waits for its start
     failed <errno> <what> <op's index>
     exited <code>          with `stay` only, which also joins a terminal that nobody else took with standard input and output */
#include "kernel.h"
#include "launcher.h"

#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>

static struct launch launch = LAUNCH_NONE;
static int control, master = -1;
static struct field ops[FIELDS_MAX];
static volatile sig_atomic_t resized = 1;

static bool read_all(char *data, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t got = read(control, data + done, size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    done += (size_t)got;
  }
  return true;
}

/* Number of its strings, or -1. */
static int read_frame(struct field *fields, int max) {
  uint32_t size;
  if (!read_all((char *)&size, sizeof size) || size > FRAME_BYTES_MAX) return -1;
  char *data = malloc((size_t)size + 1);
  if (data == NULL || !read_all(data, size)) return -1;
  return read_fields((struct reader){.at = data, .end = data + size}, fields, max);
}

static void tell(struct writer *writer) {
  size_t size = write_end(writer);
  for (size_t done = 0; done < size;) {
    ssize_t sent = send(control, writer->data + done, size - done, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return;
    done += (size_t)sent;
  }
}

static void tell_process(const char *word) {
  char data[128];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_text(&writer, word);
  write_number(&writer, (uint64_t)launch.pid);
  write_number(&writer, process_start(launch.pid));
  tell(&writer);
}

static int fail(int error, const char *what, int index) {
  char data[1024];
  struct writer writer;
  if (launch.pid > 0) {
    sys_pidfd_send_signal(launch.pidfd, SIGKILL);
    waitpid(launch.pid, NULL, __WALL);
  }
  write_begin(&writer, data, sizeof data);
  write_failure(&writer, error, what, index);
  tell(&writer);
  return 1;
}

/* Until its process executes its program or waits for its start: 0. */
static int follow(void) {
  struct report report;
  for (bool about_to = false;;) {
    struct field answer[1];
    char pid[24];
    read_report(&launch, &report);
    switch (report.kind) {
      case REPORT_TERMINAL:
        if (launch.console < 0) {
          master = report.fd;
          break;
        }
        if (send_with_file(launch.console, "/dev/ptmx", report.fd) != 0) return fail(errno, "hand over the terminal", 0);
        close(report.fd);
        break;
      case REPORT_EXEC:
        about_to = true;
        break;
      case REPORT_SYNC:
        tell_process("sync");
        if (read_frame(answer, 1) != 1 || !field_is(answer[0], "go")) return fail(ECANCELED, "the caller called it off", 0);
        snprintf(pid, sizeof pid, "%d", launch.pid);
        if (send_with_file(launch.report, pid, -1) != 0) return fail(errno, "go on", 0);
        break;
      case REPORT_END:
        if (!about_to) return fail(ECHILD, "the container's process was ended before it began", 0);
        return 0;
      case REPORT_WAITING:
        return 0;
      case REPORT_FAILED:
        return fail(report.error, report.what, report.index);
    }
  }
}

/* --- stay -------------------------------------------------------------------------------------------------------------------- */

static void on_resize(int number) {
  (void)number;
  resized = 1;
}

static void copy_size(void) {
  struct winsize size;
  resized = 0;
  if (ioctl(0, TIOCGWINSZ, &size) == 0) ioctl(master, TIOCSWINSZ, &size);
}

/* False when there is no more. */
static bool copy(int from, int to) {
  char data[8192];
  ssize_t got = read(from, data, sizeof data);
  if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  for (ssize_t done = 0; done < got;) {
    ssize_t wrote = write(to, data + done, (size_t)(got - done));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return false;
    done += wrote;
  }
  return got > 0;
}

/* Its wait status. Nobody is left to tell when the caller is gone, so then it ends as well. */
static int stay(void) {
  bool input = master >= 0, output = master >= 0;
  int status = 0;
  for (bool ended = false; !ended || output;) {
    if (master >= 0 && resized) copy_size();
    struct pollfd polls[] = {{.fd = ended ? -1 : launch.pidfd, .events = POLLIN},
                             {.fd = control, .events = 0},
                             {.fd = input ? 0 : -1, .events = POLLIN},
                             {.fd = output ? master : -1, .events = POLLIN}};
    /* What it left in its terminal is there at once. */
    int ready = poll(polls, 4, ended ? 50 : -1);
    if (ready == 0) break;
    if (ready < 0) continue;
    if (polls[1].revents) _exit(0);
    if (polls[2].revents && !copy(0, master)) {
      input = false;
      (void)!write(master, "\004", 1);
    }
    if (polls[3].revents && !copy(master, 1)) output = false;
    if (polls[0].revents && waitpid(launch.pid, &status, __WALL | WNOHANG) == launch.pid) ended = true;
  }
  return status;
}

static void tell_exited(int status) {
  char data[64];
  struct writer writer;
  write_begin(&writer, data, sizeof data);
  write_text(&writer, "exited");
  write_number(&writer, (uint64_t)(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status)));
  tell(&writer);
}

/* From here on it moves a stranger's bytes. */
static void keep_nothing(void) {
  struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2] = {0};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_capset, &head, none) != 0) _exit(1);
}

static void stay_to_end(void) {
  keep_nothing();
  struct termios before;
  bool raw = master >= 0 && tcgetattr(0, &before) == 0;
  signal(SIGWINCH, on_resize);
  if (raw) {
    struct termios now = before;
    cfmakeraw(&now);
    tcsetattr(0, TCSANOW, &now);
  }
  int status = stay();
  if (raw) tcsetattr(0, TCSANOW, &before);
  tell_exited(status);
}

int once_command(const char *control_text, const char *preserved_text, const char *end) {
  uint64_t control_number, preserved;
  struct field number = {.data = control_text, .size = strlen(control_text)}, files = {.data = preserved_text, .size = strlen(preserved_text)};
  bool staying = strcmp(end, "stay") == 0;
  if (!field_number(number, 1 << 20, &control_number) || !field_number(files, 1 << 16, &preserved) ||
      (!staying && strcmp(end, "leave") != 0)) {
    fprintf(stderr, "naru-launcher once: file numbers and leave or stay\n");
    return 2;
  }
  control = (int)control_number;
  fcntl(control, F_SETFD, FD_CLOEXEC);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
  signal(SIGPIPE, SIG_IGN);
  umask(077);
  launch.preserved_files = (unsigned)preserved;
  int count = read_frame(ops, FIELDS_MAX), index = 0;
  if (count < 0) return fail(EPROTO, "read the plan", 0);
  struct op_call call = {0};
  int result = plan_run(&launch, ops, count, &index, &call);
  if (result < 0) return fail(-result, call.what, index);
  if (follow() != 0) return 1;
  tell_process("started");
  if (staying) stay_to_end();
  return 0;
}
