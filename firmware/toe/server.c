/* The program's part that no machine is in: arguments, addresses, listeners, what to serve. */
#include "server.h"
#include "fiber.h"
#include "memory.h"

struct toe toe;
static const char *arguments = "";
static u64 total, limit;

void server_arguments(const char *text) { arguments = text; }

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

void served(u64 bytes) { total += bytes; }

/* ACCEPTs that wait. */
static u32 listening;

bool server_finished(void) {
  if (!limit || total < limit || toe.outstanding > listening) return false;
  say("served %lu bytes with %lu commands, %lu interrupts", total, toe_counter(&toe, 0), toe.interrupts);
  return true;
}

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

void server_configure(u64 management, u32 interface) {
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

void server_begin(void) {
  limit = (u64)parameter("toe.bytes", 0);
  if (argument("toe.client")) fiber_start(iperf_client, NULL);
  else {
    if (parameter("toe.http", 80) && !http_prepare(parameter("toe.file", 1))) fatal("toe.file: more than there is memory");
    server_start("echo", (u16)parameter("toe.echo", 7), echo_serve);
    server_start("http", (u16)parameter("toe.http", 80), http_serve);
    server_start("iperf3", (u16)parameter("toe.iperf", 5201), iperf_serve);
  }
}
