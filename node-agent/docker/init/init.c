/* naru-init -- <program> [<argument>...]: process 1 of a container that asks for one (--init). Starts the program, hands signals on to
   it, reaps whatever ends, and ends as the program ended. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static int code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

static void start(char *const *command, const sigset_t *before) {
  sigprocmask(SIG_SETMASK, before, NULL);
  /* Its own group, in the foreground of the terminal when there is one, so that the keys reach it and not us. */
  setpgid(0, 0);
  tcsetpgrp(STDIN_FILENO, getpgrp());
  /* Ignored by us so far, and what is ignored stays so across exec: a shell could not stop what it put into the background. */
  signal(SIGTTIN, SIG_DFL);
  signal(SIGTTOU, SIG_DFL);
  execvp(command[0], command);
  int error = errno;
  fprintf(stderr, "exec %s: %s\n", command[0], strerror(error));
  _exit(error == ENOENT ? 127 : 126);
}

int main(int count, char **arguments) {
  int first = count > 1 && strcmp(arguments[1], "--") == 0 ? 2 : 1;
  if (count <= first) {
    fputs("usage: naru-init -- program [argument...]\n", stderr);
    return 2;
  }
  /* Blocked, so that they wait for us; all but those that say that we ourselves are broken. */
  sigset_t waited, before;
  sigfillset(&waited);
  const int own[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU};
  for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) sigdelset(&waited, own[i]);
  signal(SIGTTIN, SIG_IGN);
  signal(SIGTTOU, SIG_IGN);
  sigprocmask(SIG_BLOCK, &waited, &before);
  pid_t program = fork();
  if (program < 0) {
    perror("fork");
    return 126;
  }
  if (program == 0) start(arguments + first, &before);
  for (;;) {
    int number = sigwaitinfo(&waited, NULL);
    if (number < 0) continue;
    if (number != SIGCHLD) {
      kill(program, number);
      continue;
    }
    int status;
    for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;)
      if (ended == program) return code_of(status);
  }
}
