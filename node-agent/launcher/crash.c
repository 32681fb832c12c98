/* For tests alone (`build.sh crashing`): kills the launcher, a monitor or a container's process at a chosen step. "<step> <who>" in
   the file crash-at beside the containers directory asks for it; it is removed when it happens. */
#include "launcher.h"

#ifdef CRASH_POINTS
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int step = -1, directory = -1;
static char who[16];

void crash_prepare(int containers) {
  char text[64];
  directory = containers;
  step = -1;
  int fd = openat(containers, "../crash-at", O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (size <= 0) return;
  text[size] = 0;
  if (sscanf(text, "%d %15s", &step, who) != 2) step = -1;
}

void crash_heard(void) {
  unlinkat(directory, "../crash-at", 0);
  if (strcmp(who, "launcher") == 0) kill(getppid(), SIGKILL);
  if (strcmp(who, "monitor") == 0) kill(getpid(), SIGKILL);
}

void crash_point(const struct launch *launch, int now) {
  if (now != step) return;
  step = -1;
  if (launch->cloned && launch->pid == 0) {
    send_with_file(launch->report, "crash", -1);
    /* The first process of a pid namespace cannot kill itself otherwise. */
    if (strcmp(who, "process") == 0) __builtin_trap();
    return;
  }
  crash_heard();
  if (strcmp(who, "process") == 0) kill(getpid(), SIGKILL);
}
#endif
