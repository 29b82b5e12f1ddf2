/*
 * The TOE from user space of Linux, through vfio-pci: the driver of drivers/toe and the programs of toe/, with this in place of a machine. Memory for DMA has the
 * same address for the program and for the device.
 *   toe-vfio PF [VF] serve NAME=VALUE...              the servers of toe/, arguments as there (toe.ip=, toe.gw=, toe.interface=, toe.bytes=, toe.client=...)
 *   toe-vfio PF [VF] get ADDRESS PORT PATH NAME=VALUE...   the body of an HTTP answer on standard output
 *   toe-vfio PF [VF] wild ADDRESS PORT NAME=VALUE...  DMA outside what is mapped, with a connection to that echo server; its results
 * PF and VF as in /sys/bus/pci/devices, both bound to vfio-pci. With a VF the PF only manages: interface toe.interface (0) is the VF's, which must be that one.
 */
#include "vfio.h"
#include "fiber.h"
#include "io.h"
#include "memory.h"
#include "server.h"
#include "timer.h"
#include <elf.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define FRAME 0x10000u
/* Below 2^44, which is as far as the SMMU of the board takes addresses, and nowhere near where MSIs are written. */
#define ARENA 0x1000000000UL
#define ARENA_SIZE (32UL << 20)
#define PAGE 0x1000u
#define TOKEN "7f1b4a52-8c0e-4c5e-9b1d-2b8d6f0e5a31"

static int event;

void say(const char *format, ...) {
  va_list list;
  va_start(list, format);
  fputs("toe: ", stderr);
  vfprintf(stderr, format, list);
  fputc('\n', stderr);
  va_end(list);
}

void power_off(void) {
  fflush(stdout);
  exit(0);
}

void fatal(const char *what) {
  say("stopped: %s", what);
  exit(1);
}

u64 timer_ticks(u64 microseconds) { return microseconds * timer_frequency() / 1000000; }
u64 timer_microseconds(u64 ticks) { return ticks * 1000000 / timer_frequency(); }

void toe_block(struct toe *t, volatile bool *done) {
  (void)t;
  fiber_wait(done);
}

static void idle(void) {
  if (toe_poll(&toe)) return;
  if (server_finished()) power_off();
  u64 deadline = fiber_deadline(), now = timer_virtual_count();
  int milliseconds = deadline == ~0UL ? -1 : deadline <= now ? 0 : (int)(timer_microseconds(deadline - now) / 1000 + 1);
  struct pollfd wait = {.fd = event, .events = POLLIN};
  u64 count;
  if (poll(&wait, 1, milliseconds) == 1 && read(event, &count, sizeof count) == sizeof count) toe_interrupt(&toe);
}

/* --- clients */

static char **words;

static s32 reach(const char *address, const char *port) {
  struct toe_address to;
  if (!toe_parse_address(address, &to)) fatal("expected an address");
  s32 socket = toe_socket(&toe, TOE_TCP, toe_is_ipv4(&to) ? 4 : 6);
  s32 status = socket < 0 ? socket : toe_connect(&toe, socket, &to, (u16)atoi(port));
  if (status < 0) {
    say("no connection: status %d", -status);
    exit(1);
  }
  return socket;
}

static void get(void *unused) {
  (void)unused;
  s32 socket = reach(words[0], words[1]);
  char *buffer = memory_take(TOE_LONGEST + 1);
  if (!buffer) fatal("no memory");
  int size = snprintf(buffer, TOE_LONGEST, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", words[2], words[0]);
  if (toe_send(&toe, socket, buffer, (u64)size) != size) fatal("the request was not sent");
  u64 body = 0;
  bool header = true;
  u32 have = 0;
  for (;;) {
    s64 count = toe_receive(&toe, socket, buffer + have, TOE_LONGEST - have, false);
    if (count < 0) say("status %d", (s32)-count);
    if (count <= 0) break;
    have += (u32)count;
    char *from = buffer;
    if (header) {
      buffer[have] = 0;
      from = strstr(buffer, "\r\n\r\n");
      if (!from) continue;
      header = false;
      from += 4;
      say("%.*s", (int)strcspn(buffer, "\r"), buffer);
    }
    u64 part = (u64)(buffer + have - from);
    body += fwrite(from, 1, part, stdout);
    have = 0;
  }
  toe_close(&toe, socket);
  say("got %lu bytes, %lu interrupts", body, toe.interrupts);
  power_off();
}

static struct vfio owner;

static void wild(void *unused) {
  (void)unused;
  s32 socket = reach(words[0], words[1]);
  u8 *inside = memory_take(PAGE), *outside = (u8 *)(ARENA + ARENA_SIZE);
  u8 *readable = mmap(outside + (1u << 20), PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (!inside || readable == MAP_FAILED) fatal("no memory");
  memset(inside, 'a', PAGE);
  memset(readable, 'b', PAGE);
  vfio_map_memory(&owner, readable, PAGE, false);
  say("send what is not mapped: status %ld", -toe_send(&toe, socket, outside, 100));
  say("send what is readable: %ld bytes", toe_send(&toe, socket, readable, 100));
  say("receive where nothing is mapped: status %ld", -toe_receive(&toe, socket, outside, 100, true));
  say("send what is mapped: %ld bytes", toe_send(&toe, socket, inside, 100));
  say("receive where only reading is allowed: status %ld, the byte is %c", -toe_receive(&toe, socket, readable, 100, true), readable[0]);
  vfio_unmap_memory(&owner, readable, PAGE);
  say("send what was unmapped: status %ld", -toe_send(&toe, socket, readable, 100));
  toe_close(&toe, socket);
  /* A socket of the same interface works on. */
  socket = reach(words[0], words[1]);
  s64 sent = toe_send(&toe, socket, inside, 1000);
  memset(inside + 1000, 0, 1000);
  s64 received = toe_receive(&toe, socket, inside + 1000, 1000, true);
  say("afterwards: %ld there, %ld back, the same: %d", sent, received, !memcmp(inside, inside + 1000, 1000));
  toe_close(&toe, socket);
  /* Rings that cannot be read: the interface fails, and says where. */
  write32(toe.base + TOE_CONTROL, TOE_CONTROL_RESET);
  write32(toe.base + TOE_SQ_BASE, (u32)(u64)outside);
  write32(toe.base + TOE_SQ_BASE + 4, (u32)((u64)outside >> 32));
  write32(toe.base + TOE_SQ_SIZE, 4);
  write32(toe.base + TOE_CQ_BASE, (u32)(u64)inside);
  write32(toe.base + TOE_CQ_BASE + 4, (u32)((u64)inside >> 32));
  write32(toe.base + TOE_CQ_SIZE, 4);
  write32(toe.base + TOE_CONTROL, TOE_CONTROL_ENABLE);
  write32(toe.base + TOE_SQ_TAIL, 1);
  for (u32 i = 0; i < 100 && !(read32(toe.base + TOE_STATUS) & TOE_STATUS_FAILED); i++) usleep(1000);
  say("a ring that is not mapped: status %x, cause %u", read32(toe.base + TOE_STATUS) & 7, read32(toe.base + TOE_ERROR_CAUSE));
  power_off();
}

/* The program's own data, which is sent too. Linked at fixed addresses and without RELRO, so that each segment is what its header says. */
static void map_image(void) {
  const Elf64_Phdr *header = (const Elf64_Phdr *)getauxval(AT_PHDR);
  for (u64 left = getauxval(AT_PHNUM); left--; header++) {
    if (header->p_type != PT_LOAD) continue;
    u64 from = header->p_vaddr & ~(PAGE - 1UL), to = (header->p_vaddr + header->p_memsz + PAGE - 1) & ~(PAGE - 1UL);
    vfio_map_memory(&owner, (void *)from, to - from, (header->p_flags & PF_W) != 0);
  }
}

int main(int argc, char **argv) {
  static char text[2048];
  const char *vf = NULL;
  int n = 2;
  if (argc > 3 && strchr(argv[2], ':')) vf = argv[n++];
  const char *what = n < argc ? argv[n++] : "";
  int operands = !strcmp(what, "get") ? 3 : !strcmp(what, "wild") ? 2 : !strcmp(what, "serve") ? 0 : -1;
  if (operands < 0 || n + operands > argc) {
    fputs("usage: toe-vfio PF [VF] serve|get ADDRESS PORT PATH|wild ADDRESS PORT [NAME=VALUE...]\n", stderr);
    return 2;
  }
  words = argv + n;
  for (n += operands; n < argc; n++) {
    strncat(text, argv[n], sizeof text - strlen(text) - 1);
    strncat(text, " ", sizeof text - strlen(text) - 1);
  }
  server_arguments(text);
  u32 interface = parameter("toe.interface", 0);

  struct vfio physical;
  u64 size;
  vfio_open(&physical, argv[1], vf ? TOKEN : NULL);
  u64 management = vfio_map_bar(&physical, 0, &size);
  if (read32(management) != TOE_MANAGEMENT_ID_VALUE || (interface + 2) * (u64)FRAME > size) fatal("there is no such interface");
  server_configure(management, interface);
  u64 base = management + (interface + 1) * (u64)FRAME;
  owner = physical;
  if (vf) {
    vfio_open(&owner, vf, TOKEN);
    base = vfio_map_bar(&owner, 0, NULL);
  }
  void *arena = mmap((void *)ARENA, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (arena == MAP_FAILED) fatal("no memory");
  vfio_map_memory(&owner, arena, ARENA_SIZE, true);
  map_image();
  event = vfio_interrupt(&owner, vf ? 0 : 1 + interface);
  memory_start(ARENA, ARENA + ARENA_SIZE);
  void *rings = memory_take(TOE_MEMORY);
  if (!rings || !toe_open(&toe, base, rings)) fatal("the TOE interface is not granted");
  if (!strcmp(what, "serve")) server_begin();
  else fiber_start(!strcmp(what, "get") ? get : wild, NULL);
  fiber_run(idle);
  power_off();
}
