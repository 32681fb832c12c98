/* What the kernel alone needs for a container: clone3 with every namespace that one has, exec, exit. `bare PROGRAM RUNS IN-FLIGHT` prints the
   milliseconds of each run, from clone to reaped. */
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 64

struct clone_words {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char **argv) {
  struct {
    pid_t pid;
    double began_ms;
  } running[IN_FLIGHT_MAX] = {0};
  long runs = argc == 4 ? atol(argv[2]) : 0, in_flight = argc == 4 ? atol(argv[3]) : 0;
  if (runs < 1 || in_flight < 1 || in_flight > IN_FLIGHT_MAX) return 2;
  for (long started = 0, ended = 0; ended < runs;) {
    for (long i = 0; i < in_flight && started < runs; i++) {
      if (running[i].pid != 0) continue;
      running[i].began_ms = now_ms();
      struct clone_words words = {.flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | 0x02000000 /* cgroup */,
                                  .exit_signal = SIGCHLD};
      pid_t pid = (pid_t)syscall(SYS_clone3, &words, sizeof words);
      if (pid == 0) {
        execv(argv[1], (char *[]){argv[1], NULL});
        _exit(127);
      }
      if (pid < 0) return 1;
      running[i].pid = pid;
      started++;
    }
    int status;
    pid_t gone = wait(&status);
    if (gone < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) return 1;
    for (long i = 0; i < in_flight; i++)
      if (running[i].pid == gone) {
        printf("%.4f\n", now_ms() - running[i].began_ms);
        running[i].pid = 0;
      }
    ended++;
  }
  return 0;
}
