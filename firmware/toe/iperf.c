/*
 * iperf3's protocol over TCP, both roles, from its published states and messages (esnet/iperf, version 3): a control connection carries one-byte states and
 * JSON with a 32-bit big-endian length before it; data connections begin with the control connection's cookie.
 */
#include "fiber.h"
#include "memory.h"
#include "server.h"
#include "text.h"
#include "timer.h"

#define COOKIE 37u
#define TEXT 0x2000u
#define STREAMS 16u
#define BLOCK (1u << 20)

enum state {
  TEST_START = 1,
  TEST_RUNNING = 2,
  TEST_END = 4,
  PARAM_EXCHANGE = 9,
  CREATE_STREAMS = 10,
  CLIENT_TERMINATE = 12,
  EXCHANGE_RESULTS = 13,
  DISPLAY_RESULTS = 14,
  IPERF_DONE = 16,
  ACCESS_DENIED = 0xff
};

struct stream {
  s32 socket;
  u64 bytes;
  volatile bool ended;
  bool aborted;
};

static struct test {
  u8 cookie[COOKIE];
  bool active, reverse;
  u32 wanted;
  volatile u32 count;
  volatile bool complete, running, over;
  u64 began, ended;
  struct stream stream[STREAMS];
} test;

static u8 *block;
static char *text;

static bool prepare(void) {
  if (!block) block = memory_take(BLOCK);
  if (!text) text = memory_take(TEXT);
  return block && text;
}

static bool take(s32 socket, void *to, u32 length) { return toe_receive(&toe, socket, to, length, true) == length; }
static bool give(s32 socket, const void *from, u32 length) { return toe_send(&toe, socket, from, length) == length; }
static bool give_state(s32 socket, enum state state) {
  u8 byte = (u8)state;
  return give(socket, &byte, 1);
}

/* --- the little JSON there is */

/* The number or truth behind "name":, `otherwise` where it is absent. */
static u64 member(const char *json, const char *name, u64 otherwise) {
  u64 length = strlen(name);
  for (const char *p = json; *p; p++) {
    if (*p != '"' || memcmp(p + 1, name, length) || p[length + 1] != '"') continue;
    p += length + 2;
    while (*p == ' ' || *p == ':' || *p == '\t' || *p == '\n') p++;
    if (*p == 't') return 1;
    if (*p == 'f') return 0;
    u64 value = 0;
    for (; *p >= '0' && *p <= '9'; p++) value = value * 10 + (u64)(*p - '0');
    return value;
  }
  return otherwise;
}

static bool give_text(s32 socket, char *end) {
  u32 length = be32((u32)(end - text));
  return give(socket, &length, 4) && give(socket, text, (u32)(end - text));
}

static bool take_text(s32 socket) {
  u32 length;
  if (!take(socket, &length, 4)) return false;
  length = be32(length);
  if (length >= TEXT || !take(socket, text, length)) return false;
  text[length] = 0;
  return true;
}

static char *results(void) {
  u64 elapsed = timer_microseconds(test.ended - test.began);
  char *at = text_put(text, "{\"cpu_util_total\":0,\"cpu_util_user\":0,\"cpu_util_system\":0,\"sender_has_retransmits\":0,\"streams\":[");
  for (u32 i = 0; i < test.count; i++) {
    /* iperf3 numbers its streams 1, 3, 4, ... */
    at = text_put_number(text_put(at, i ? ",{\"id\":" : "{\"id\":"), i ? i + 2 : 1);
    at = text_put_number(text_put(at, ",\"bytes\":"), test.stream[i].bytes);
    at = text_put(at, ",\"retransmits\":0,\"jitter\":0,\"errors\":0,\"packets\":0,\"start_time\":0,\"end_time\":");
    at = text_put_number(at, elapsed / 1000000);
    *at++ = '.';
    for (u32 unit = 100000, left = (u32)(elapsed % 1000000); unit; unit /= 10) *at++ = (char)('0' + left / unit % 10);
    *at++ = '}';
  }
  return text_put(at, "]}");
}

/* --- data */

static void send_data(struct stream *s) {
  while (!test.over) {
    s64 count = toe_send(&toe, s->socket, block, BLOCK);
    if (count <= 0) break;
    s->bytes += (u64)count;
    served((u64)count);
  }
  s->ended = true;
}

static void receive_data(struct stream *s, u8 *buffer) {
  for (;;) {
    s64 count = toe_receive(&toe, s->socket, buffer, TOE_LONGEST, true);
    if (count <= 0) break;
    s->bytes += (u64)count;
    served((u64)count);
  }
  s->ended = true;
}

static u8 *receive_buffer[STREAMS];
static u8 *buffer_of(u32 stream) {
  if (!receive_buffer[stream]) receive_buffer[stream] = memory_take(TOE_LONGEST);
  return receive_buffer[stream];
}

static bool serve_stream(s32 socket) {
  u32 n = test.count;
  struct stream *s = &test.stream[n];
  *s = (struct stream){.socket = socket};
  test.count = n + 1;
  if (test.count == test.wanted) test.complete = true;
  if (test.reverse) {
    fiber_wait(&test.running);
    send_data(s);
    return !s->aborted;
  }
  u8 *buffer = buffer_of(n);
  if (buffer) receive_data(s, buffer);
  s->ended = true;
  return !s->aborted;
}

/* --- the server */

static void report(const char *role) {
  u64 bytes = 0, elapsed = timer_microseconds(test.ended - test.began);
  for (u32 i = 0; i < test.count; i++) bytes += test.stream[i].bytes;
  u64 kilobits = elapsed ? bytes * 8000 / elapsed : 0;
  say("iperf3 %s: %lu bytes in %lu us, %lu.%03lu Mb/s, streams %u", role, bytes, elapsed, kilobits / 1000, kilobits % 1000, test.count);
}

/* Transfers that the client has no interest in any more end. */
static void stop_streams(void) {
  for (u32 i = 0; i < test.count; i++) {
    struct stream *s = &test.stream[i];
    if (s->ended || s->aborted) continue;
    s->aborted = true;
    toe_abort(&toe, s->socket);
  }
}

static void serve_control(s32 socket) {
  if (!give_state(socket, PARAM_EXCHANGE) || !take_text(socket)) return;
  test.reverse = member(text, "reverse", 0) != 0;
  test.wanted = (u32)member(text, "parallel", 1);
  if (member(text, "udp", 0) || member(text, "bidirectional", 0) || test.wanted == 0 || test.wanted > STREAMS) {
    give_state(socket, ACCESS_DENIED);
    return;
  }
  if (!give_state(socket, CREATE_STREAMS)) return;
  fiber_wait(&test.complete);
  if (!give_state(socket, TEST_START) || !give_state(socket, TEST_RUNNING)) return;
  test.began = timer_virtual_count();
  test.running = true;
  u8 state;
  bool fine = take(socket, &state, 1) && state == TEST_END;
  test.ended = timer_virtual_count();
  test.over = true;
  if (!fine || !give_state(socket, EXCHANGE_RESULTS) || !take_text(socket)) return;
  /* The client reads its streams, and takes a reset for a failure, until it has heard of that state. */
  if (test.reverse) stop_streams();
  if (!give_text(socket, results())) return;
  if (!give_state(socket, DISPLAY_RESULTS) || !take(socket, &state, 1)) return;
  report(test.reverse ? "server sent" : "server received");
}

bool iperf_serve(s32 socket) {
  u8 cookie[COOKIE];
  if (!prepare() || !take(socket, cookie, COOKIE)) return true;
  if (test.active && !memcmp(cookie, test.cookie, COOKIE) && test.count < test.wanted) return serve_stream(socket);
  /* The last test may be about to end; a client that comes in the middle of one is refused. */
  u64 patience = timer_virtual_count() + timer_ticks(1000000);
  while (test.active && timer_virtual_count() < patience) fiber_sleep_until(timer_virtual_count() + timer_ticks(1000));
  if (test.active) {
    give_state(socket, ACCESS_DENIED);
    return true;
  }
  memset(&test, 0, sizeof test);
  memcpy(test.cookie, cookie, COOKIE);
  test.active = true;
  serve_control(socket);
  test.over = true;
  test.running = true;
  /* What is still under way, in either direction, nobody counts any more. */
  stop_streams();
  for (u32 i = 0; i < test.count; i++) fiber_wait(&test.stream[i].ended);
  test.active = false;
  return true;
}

/* --- the client */

static s32 connect_with_cookie(const struct toe_address *address, u16 port) {
  s32 socket = toe_socket(&toe, TOE_TCP, toe_is_ipv4(address) ? 4 : 6);
  if (socket < 0) return socket;
  s32 status = toe_connect(&toe, socket, address, port);
  if (status < 0) {
    toe_close(&toe, socket);
    return status;
  }
  return give(socket, test.cookie, COOKIE) ? socket : -TOE_CLOSED;
}

static void client_stream(void *argument) {
  struct stream *s = argument;
  u8 *buffer = test.reverse ? buffer_of((u32)(s - test.stream)) : NULL;
  fiber_wait(&test.running);
  if (!test.reverse) send_data(s);
  else if (buffer) receive_data(s, buffer);
  s->ended = true;
}

static bool expect_state(s32 socket, enum state wanted) {
  u8 state;
  return take(socket, &state, 1) && state == (u8)wanted;
}

static const char *run_client(void) {
  struct toe_address address;
  u16 port = (u16)parameter("toe.port", 5201);
  u32 seconds = parameter("toe.seconds", 1), parallel = parameter("toe.parallel", 1);
  if (!toe_parse_address(argument("toe.client"), &address)) return "toe.client: expected an address";
  if (parallel == 0 || parallel > STREAMS) return "toe.parallel: expected 1 to 16";
  if (!prepare()) return "no memory";
  memset(&test, 0, sizeof test);
  test.reverse = parameter("toe.reverse", 0) != 0;
  /* 36 characters and a zero; the instant tells tests apart. */
  u64 x = timer_virtual_count() | 1;
  for (u32 i = 0; i < COOKIE - 1; i++) {
    x = x * 6364136223846793005UL + 1442695040888963407UL;
    test.cookie[i] = (u8)('a' + (x >> 40) % 26);
  }
  s32 control = connect_with_cookie(&address, port);
  if (control < 0) return "cannot connect";
  if (!expect_state(control, PARAM_EXCHANGE)) return "no parameter exchange";
  char *at = text_put_number(text_put(text, "{\"tcp\":true,\"omit\":0,\"num\":0,\"blockcount\":0,\"pacing_timer\":1000,\"client_version\":\"3.12\",\"len\":131072,\"time\":"), seconds);
  at = text_put_number(text_put(at, ",\"parallel\":"), parallel);
  at = text_put(at, test.reverse ? ",\"reverse\":true}" : "}");
  if (!give_text(control, at) || !expect_state(control, CREATE_STREAMS)) return "parameters refused";
  for (u32 i = 0; i < parallel; i++) {
    s32 socket = connect_with_cookie(&address, port);
    if (socket < 0) return "cannot connect a stream";
    test.stream[i].socket = socket;
    test.count = i + 1;
    if (!fiber_start(client_stream, &test.stream[i])) return "no memory";
  }
  if (!expect_state(control, TEST_START) || !expect_state(control, TEST_RUNNING)) return "the test does not start";
  test.began = timer_virtual_count();
  test.running = true;
  fiber_sleep_until(test.began + timer_ticks((u64)seconds * 1000000));
  test.over = true;
  test.ended = timer_virtual_count();
  if (!test.reverse)
    for (u32 i = 0; i < test.count; i++) fiber_wait(&test.stream[i].ended);
  if (!give_state(control, TEST_END) || !expect_state(control, EXCHANGE_RESULTS)) return "no exchange of results";
  if (!give_text(control, results()) || !take_text(control)) return "no results";
  u64 far = member(text, "bytes", 0);
  if (!expect_state(control, DISPLAY_RESULTS)) return "no end";
  give_state(control, IPERF_DONE);
  for (u32 i = 0; i < test.count; i++) toe_close(&toe, test.stream[i].socket);
  toe_close(&toe, control);
  report(test.reverse ? "client received" : "client sent");
  say("iperf3 server says: %lu bytes in the first stream", far);
  return NULL;
}

void iperf_client(void *unused) {
  (void)unused;
  const char *error = run_client();
  if (error) say("iperf3 client: %s", error);
  power_off();
}
