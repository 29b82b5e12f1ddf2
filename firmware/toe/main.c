#include "server.h"
#include "arch.h"
#include "board.h"
#include "fdt.h"
#include "fiber.h"
#include "gicv2.h"
#include "io.h"
#include "memory.h"
#include "mmu.h"
#include "pl011.h"
#include "printf.h"
#include "timer.h"

struct toe toe;
static const char *arguments = "";
static u64 total, limit;
/* ACCEPTs that wait. */
static u32 listening;

void console_putc(char c) {
  if (c == '\n') pl011_putc(BOARD_UART0_BASE, '\r');
  pl011_putc(BOARD_UART0_BASE, (u8)c);
}

void say(const char *format, ...) {
  va_list list;
  printf("toe: ");
  va_start(list, format);
  vprintf(format, list);
  va_end(list);
  printf("\n");
}

/* What follows the n-th "name=". */
static const char *nth_argument(const char *name, u32 n) {
  u64 length = strlen(name);
  for (const char *p = arguments; *p;) {
    if (!memcmp(p, name, length) && p[length] == '=' && n-- == 0) return p + length + 1;
    while (*p && *p != ' ') p++;
    while (*p == ' ') p++;
  }
  return NULL;
}

const char *argument(const char *name) { return nth_argument(name, 0); }

u32 parameter(const char *name, u32 otherwise) {
  const char *p = argument(name);
  if (!p || *p < '0' || *p > '9') return otherwise;
  u32 value = 0;
  for (; *p >= '0' && *p <= '9'; p++) value = value * 10 + (u32)(*p - '0');
  return value;
}

void power_off(void) {
  pl011_drain(BOARD_UART0_BASE);
  psci_call(PSCI_SYSTEM_OFF, 0, 0, 0);
  for (;;) wfi();
}

void fatal(const char *what) __attribute__((noreturn));
void fatal(const char *what) {
  say("stopped: %s", what);
  power_off();
}

static void finish(void) {
  say("served %lu bytes with %lu commands, %lu interrupts", total, toe_counter(&toe, 0), toe.interrupts);
  power_off();
}

void served(u64 bytes) {
  total += bytes;
}

void toe_block(struct toe *t, volatile bool *done) {
  (void)t;
  fiber_wait(done);
}

static void on_toe(u32 intid, void *unused) {
  (void)intid, (void)unused;
  toe_interrupt(&toe);
}

static void on_timer(u32 intid, void *unused) {
  (void)intid, (void)unused;
  write_sysreg(cntv_ctl_el0, CNT_CTL_IMASK);
  isb();
}

static void idle(void) {
  if (toe_poll(&toe)) return;
  if (limit && total >= limit && toe.outstanding <= listening) finish();
  u64 deadline = fiber_deadline();
  if (deadline != ~0UL) {
    write_sysreg(cntv_cval_el0, deadline);
    write_sysreg(cntv_ctl_el0, CNT_CTL_ENABLE);
  }
  wfi();
}

/* --- servers */

struct listener {
  const char *name;
  u16 port;
  bool (*serve)(s32 socket);
};
struct connection {
  struct connection *next;
  const struct listener *listener;
  s32 socket;
};
static struct connection *unused_connections;

static void connection(void *argument) {
  struct connection *c = argument;
  if (c->listener->serve(c->socket)) toe_close(&toe, c->socket);
  c->next = unused_connections;
  unused_connections = c;
}

/* One for each family: ::ffff:0:0 and :: are different wildcards. */
static s32 listen_at(const struct listener *l, u32 family) {
  struct toe_address any;
  memset(&any, 0, sizeof any);
  s32 socket = toe_socket(&toe, TOE_TCP, family);
  if (socket < 0) return socket;
  s32 status = toe_bind(&toe, socket, &any, l->port);
  if (!status) status = toe_listen(&toe, socket, 256);
  if (status < 0) toe_close(&toe, socket);
  return status < 0 ? status : socket;
}

static void accept_at(const struct listener *l, u32 family) {
  s32 socket = listen_at(l, family);
  if (socket < 0) {
    say("%s at port %u, IPv%u: status %d", l->name, l->port, family, -socket);
    return;
  }
  say("%s at port %u, IPv%u", l->name, l->port, family);
  listening++;
  for (;;) {
    s32 accepted = toe_accept(&toe, socket);
    if (accepted < 0) continue;
    struct connection *c = unused_connections;
    if (c) unused_connections = c->next;
    else c = memory_take(sizeof *c);
    if (c) *c = (struct connection){.listener = l, .socket = accepted};
    if (!c || !fiber_start(connection, c)) toe_abort(&toe, accepted);
  }
}

static void listen4(void *l) { accept_at(l, 4); }
static void listen6(void *l) { accept_at(l, 6); }

void server_start(const char *name, u16 port, bool (*serve)(s32 socket)) {
  struct listener *l = port ? memory_take(sizeof *l) : NULL;
  if (!l) return;
  *l = (struct listener){.name = name, .port = port, .serve = serve};
  fiber_start(listen4, l);
  fiber_start(listen6, l);
}

/* --- set-up */

static void configure(u64 management, u32 interface) {
  struct toe_address address;
  for (u32 n = 0; n < 8; n++) {
    const char *text = nth_argument("toe.ip", n);
    if (!text) break;
    const char *end = toe_parse_address(text, &address);
    u32 prefix = 0;
    if (end && *end == '/')
      for (end++; *end >= '0' && *end <= '9'; end++) prefix = prefix * 10 + (u32)(*end - '0');
    if (!end || !prefix || !toe_manage_address(management, interface, n, &address, prefix)) fatal("toe.ip: expected ADDRESS/PREFIX");
  }
  for (u32 n = 0; n < 8; n++) {
    const char *text = nth_argument("toe.gw", n);
    if (!text) break;
    struct toe_address all;
    if (!toe_parse_address(text, &address)) fatal("toe.gw: expected an address");
    memset(&all, 0, sizeof all);
    if (toe_is_ipv4(&address)) all.byte[10] = all.byte[11] = 0xff;
    if (!toe_manage_route(management, interface, n, &all, 0, &address)) fatal("toe.gw: refused");
  }
  toe_manage_enable(management, interface);
}

static void start_toe(const void *tree) {
  struct fdt_node node;
  u64 base, size;
  u32 interface = parameter("toe.interface", 0);
  if (fdt_compatible(tree, "armature,toe", 0, &node) && fdt_reg(tree, &node, 0, &base, &size)) configure(base, interface);
  if (!fdt_compatible(tree, "armature,toe-interface", interface, &node) || !fdt_reg(tree, &node, 0, &base, &size)) fatal("there is no TOE interface");
  void *rings = memory_take(TOE_MEMORY);
  if (!rings || !toe_open(&toe, base, rings)) fatal("the TOE interface is not granted");
  u32 intid = 32 + fdt_cell(tree, &node, "interrupts", 1, 0);
  gic_handle(intid, on_toe, NULL);
  gic_enable(intid);
}

static void client(void *unused) { iperf_client(unused); }

void firmware_start(u64 tree_address);
void firmware_start(u64 tree_address) {
  const void *tree = (const void *)(tree_address >= BOARD_RAM_BASE ? tree_address : BOARD_RAM_BASE);
  struct fdt_node chosen, memory;
  u64 ram = BOARD_RAM_BASE, size = 4UL << 20;
  extern char __image_end[];
  pl011_init(BOARD_UART0_BASE, BOARD_UART0_CLOCK_HZ, 1500000);
  if (!fdt_check(tree)) fatal("there is no device tree");
  if (fdt_named(tree, "chosen", &chosen)) {
    u32 length;
    const char *text = fdt_property(tree, &chosen, "bootargs", &length);
    if (text && length && !text[length - 1]) arguments = text;
  }
  if (fdt_named(tree, "memory", &memory)) fdt_reg(tree, &memory, 0, &ram, &size);
  if (size > 1UL << 30) size = 1UL << 30;
  mmu_start(size);
  gic_init(BOARD_GICD_BASE, BOARD_GICC_BASE);
  gic_handle(BOARD_VIRTUAL_TIMER_INTID, on_timer, NULL);
  gic_enable(BOARD_VIRTUAL_TIMER_INTID);
  memory_start(((u64)__image_end + 0x1fffff) & ~0x1fffffUL, ram + size);
  start_toe(tree);
  irq_enable();
  limit = (u64)parameter("toe.bytes", 0);
  if (argument("toe.client")) fiber_start(client, NULL);
  else {
    if (parameter("toe.http", 80) && !http_prepare(parameter("toe.file", 1))) fatal("toe.file: more than there is memory");
    server_start("echo", (u16)parameter("toe.echo", 7), echo_serve);
    server_start("http", (u16)parameter("toe.http", 80), http_serve);
    server_start("iperf3", (u16)parameter("toe.iperf", 5201), iperf_serve);
  }
  fiber_run(idle);
  power_off();
}
