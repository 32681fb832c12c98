// What test pods run: a small server, and questions that are asked from inside a pod. Usage: probe ACTION [ARGUMENT…]
//   serve PORT TEXT     answers HTTP with "TEXT <host name>"; says each request on standard output; ends at once on SIGTERM
//   get HOST PORT       prints the body that an HTTP server answers
//   cat FILE | env NAME | host    prints it
//   say COUNT TEXT      writes TEXT with a number COUNT times, ten a second, then sleeps
//   stubborn            ignores SIGTERM and sleeps
//   sleep SECONDS | exit CODE | hog MEGABYTES (uses that much memory, then sleeps)
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static _Noreturn void fail(const char *action) {
  perror(action);
  exit(3);
}

static void end(int signal) { _exit(signal == SIGTERM ? 0 : 1); }

static int serve(const char *port, const char *text) {
  int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  if (bind(fd, (struct sockaddr *)&any, sizeof any) != 0 || listen(fd, 128) != 0) fail("listen");
  char host[256];
  gethostname(host, sizeof host);
  printf("listening on %s\n", port);
  for (;;) {
    int client = accept(fd, NULL, NULL);
    if (client < 0) continue;
    char request[4096], answer[1024];
    ssize_t got = recv(client, request, sizeof request - 1, 0);
    if (got > 0) {
      int size = snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s %s\n",
                          strlen(text) + strlen(host) + 2, text, host);
      send(client, answer, (size_t)size, MSG_NOSIGNAL);
      request[got] = 0;
      printf("%.*s\n", (int)strcspn(request, "\r\n"), request);
    }
    shutdown(client, SHUT_WR);
    while (recv(client, request, sizeof request, 0) > 0) {
    }
    close(client);
  }
}

static int get(const char *host, const char *port) {
  struct addrinfo *found, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  int error = getaddrinfo(host, port, &hints, &found);
  if (error != 0) {
    fprintf(stderr, "%s: %s\n", host, gai_strerror(error));
    return 4;
  }
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  struct timeval limit = {.tv_sec = 5};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (connect(fd, found->ai_addr, found->ai_addrlen) != 0) fail("connect");
  const char *request = "GET / HTTP/1.0\r\n\r\n";
  if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0) fail("send");
  char answer[65536];
  size_t size = 0;
  for (ssize_t got; size < sizeof answer - 1 && (got = recv(fd, answer + size, sizeof answer - 1 - size, 0)) > 0;) size += (size_t)got;
  answer[size] = 0;
  char *body = strstr(answer, "\r\n\r\n");
  if (body == NULL) return 5;
  fputs(body + 4, stdout);
  return 0;
}

static int cat(const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) fail(path);
  for (int c; (c = fgetc(file)) != EOF;) putchar(c);
  return 0;
}

static void use_memory(size_t megabytes) {
  for (size_t i = 0; i < megabytes; i++) {
    volatile char *block = malloc(1 << 20);
    for (size_t at = 0; block != NULL && at < 1 << 20; at += 4096) block[at] = 1;
  }
}

int main(int argc, char **argv) {
  setlinebuf(stdout);
  signal(SIGTERM, end);
  const char *action = argc > 1 ? argv[1] : "";
  if (argc == 4 && strcmp(action, "serve") == 0) return serve(argv[2], argv[3]);
  if (argc == 4 && strcmp(action, "get") == 0) return get(argv[2], argv[3]);
  if (argc == 3 && strcmp(action, "cat") == 0) return cat(argv[2]);
  if (argc == 3 && strcmp(action, "env") == 0) return puts(getenv(argv[2]) ? getenv(argv[2]) : "") < 0;
  if (argc == 3 && strcmp(action, "exit") == 0) return atoi(argv[2]);
  if (argc == 2 && strcmp(action, "host") == 0) {
    char host[256];
    gethostname(host, sizeof host);
    return puts(host) < 0;
  }
  if (argc == 4 && strcmp(action, "say") == 0) {
    for (int i = 0; i < atoi(argv[2]); i++, usleep(100000)) printf("%s %d\n", argv[3], i);
  } else if (argc == 2 && strcmp(action, "stubborn") == 0) {
    signal(SIGTERM, SIG_IGN);
  } else if (argc == 3 && strcmp(action, "hog") == 0) {
    use_memory((size_t)atoi(argv[2]));
  } else if (argc == 3 && strcmp(action, "sleep") == 0) {
    sleep((unsigned)atoi(argv[2]));
    return 0;
  } else {
    fprintf(stderr, "probe: what is %s?\n", action);
    return 2;
  }
  for (;;) pause();
}
