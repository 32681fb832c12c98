/* What the benchmarks run in containers: it ends at once; with an argument it goes on, doing nothing, until it is killed. */
#include <unistd.h>

int main(int argc, char **argv) {
  (void)argv;
  while (argc > 1) pause();
  return 0;
}
