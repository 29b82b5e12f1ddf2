/* Threads that contend: a spinlock and counters made of exclusives (and of LSE atomics where Linux offers them), a mutex with a condition. */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
static long rounds = 20000;
static uint64_t exclusive, lse, locked, byMutex, pair[2];
static uint32_t lock;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static int whose;
static pthread_barrier_t start;

static void addExclusive(uint64_t *p) {
  uint64_t v;
  uint32_t failed;
  asm volatile("1: ldxr %0, [%2]\n add %0, %0, #1\n stxr %w1, %0, [%2]\n cbnz %w1, 1b" : "=&r"(v), "=&r"(failed) : "r"(p) : "memory");
}
static void addPair(uint64_t *p) {
  uint64_t a, b;
  uint32_t failed;
  asm volatile("1: ldaxp %0, %1, [%3]\n add %0, %0, #1\n sub %1, %1, #1\n stlxp %w2, %0, %1, [%3]\n cbnz %w2, 1b"
               : "=&r"(a), "=&r"(b), "=&r"(failed) : "r"(p) : "memory");
}
static void addLse(uint64_t *p) {
  uint64_t one = 1, old;
  asm volatile(".arch_extension lse\n ldaddal %1, %0, [%2]" : "=&r"(old) : "r"(one), "r"(p) : "memory");
}
/* The lock of the manual: wait with WFE for the release to clear the monitor (DDI 0487 K13.3.1). */
static void acquire(uint32_t *p) {
  uint32_t v, failed, one = 1;
  asm volatile("sevl\n1: wfe\n2: ldaxr %w0, [%2]\n cbnz %w0, 1b\n stxr %w1, %w3, [%2]\n cbnz %w1, 2b"
               : "=&r"(v), "=&r"(failed) : "r"(p), "r"(one) : "memory");
}
static void release(uint32_t *p) { asm volatile("stlr wzr, [%0]" ::"r"(p) : "memory"); }

static void *body(void *argument) {
  long n = (long)argument;
  int atomics = (getauxval(AT_HWCAP) & 0x100) != 0; /* HWCAP_ATOMICS */
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(n % sysconf(_SC_NPROCESSORS_ONLN), &set);
  sched_setaffinity(0, sizeof set, &set);
  pthread_barrier_wait(&start);
  for (long i = 0; i < rounds; i++) {
    addExclusive(&exclusive);
    addPair(pair);
    if (atomics) addLse(&lse);
    acquire(&lock);
    locked++;
    release(&lock);
  }
  for (int i = 0; i < 100; i++) {
    pthread_mutex_lock(&mutex);
    while (whose != n) pthread_cond_wait(&turn, &mutex);
    byMutex++;
    whose = (whose + 1) % THREADS;
    pthread_cond_broadcast(&turn);
    pthread_mutex_unlock(&mutex);
  }
  return 0;
}

int main(int argc, char **argv) {
  pthread_t t[THREADS];
  if (argc > 1) rounds = atol(argv[1]);
  int atomics = (getauxval(AT_HWCAP) & 0x100) != 0;
  pair[1] = THREADS * rounds;
  pthread_barrier_init(&start, 0, THREADS);
  for (long i = 0; i < THREADS; i++) pthread_create(&t[i], 0, body, (void *)i);
  for (int i = 0; i < THREADS; i++) pthread_join(t[i], 0);
  uint64_t all = THREADS * rounds;
  printf("exclusive %lu pair %lu %lu lse %lu locked %lu mutex %lu\n", exclusive, pair[0], pair[1], lse, locked, byMutex);
  int good = exclusive == all && pair[0] == all && pair[1] == 0 && locked == all && byMutex == 100 * THREADS &&
             lse == (atomics ? all : 0);
  printf("CONTENTION-%s atomics=%d\n", good ? "OK" : "FAIL", atomics);
  return !good;
}
