#include "toe.h"

/* One command that somebody waits for. */
struct call {
  struct toe_request request;
  struct toe_completion completion;
  volatile bool done;
};

static void finished(struct toe_request *request, const struct toe_completion *completion) {
  struct call *call = (struct call *)request;
  call->completion = *completion;
  call->done = true;
}

/* Starts a command. Every outstanding command ends, so where there is no room there will be some. */
static void start(struct toe *toe, const struct toe_command *command, struct call *call) {
  call->request.done = finished;
  call->done = false;
  while (!toe_submit(toe, command, &call->request)) toe_poll(toe);
}

static const struct toe_completion *run(struct toe *toe, const struct toe_command *command, struct call *call) {
  start(toe, command, call);
  toe_block(toe, &call->done);
  return &call->completion;
}

static s32 simple(struct toe *toe, const struct toe_command *command) {
  struct call call;
  return -(s32)run(toe, command, &call)->status;
}

s32 toe_socket(struct toe *toe, u32 type, u32 family) {
  struct toe_command command = {.opcode = TOE_SOCKET, .arg0 = type, .arg1 = family};
  struct call call;
  const struct toe_completion *c = run(toe, &command, &call);
  return c->status ? -(s32)c->status : (s32)c->socket;
}

s32 toe_bind(struct toe *toe, s32 socket, const struct toe_address *address, u16 port) {
  struct toe_command command = {.opcode = TOE_BIND, .socket = (u32)socket, .port = port};
  if (address) command.address = *address;
  return simple(toe, &command);
}

s32 toe_listen(struct toe *toe, s32 socket, u32 backlog) {
  struct toe_command command = {.opcode = TOE_LISTEN, .socket = (u32)socket, .arg0 = backlog};
  return simple(toe, &command);
}

s32 toe_accept(struct toe *toe, s32 socket) {
  struct toe_command command = {.opcode = TOE_ACCEPT, .socket = (u32)socket};
  struct call call;
  const struct toe_completion *c = run(toe, &command, &call);
  return c->status ? -(s32)c->status : (s32)c->socket;
}

s32 toe_connect(struct toe *toe, s32 socket, const struct toe_address *address, u16 port) {
  struct toe_command command = {.opcode = TOE_CONNECT, .socket = (u32)socket, .address = *address, .port = port};
  return simple(toe, &command);
}

/* So many pieces of a send are under way at once. */
#define PIECES 4u

s64 toe_send(struct toe *toe, s32 socket, const void *data, u64 length) {
  struct call call[PIECES];
  u64 started = 0, sent = 0;
  s64 error = 0;
  u32 first = 0, count = 0;
  while (count || (started < length && !error)) {
    if (count < PIECES && started < length && !error) {
      u64 left = length - started;
      u32 piece = left < TOE_LONGEST ? (u32)left : TOE_LONGEST;
      struct toe_command command = {.opcode = TOE_SEND, .socket = (u32)socket, .length = piece, .buffer = (u64)data + started};
      start(toe, &command, &call[(first + count) % PIECES]);
      started += piece;
      count++;
      continue;
    }
    struct call *oldest = &call[first];
    toe_block(toe, &oldest->done);
    sent += oldest->completion.result;
    if (oldest->completion.status && !error) error = -(s64)oldest->completion.status;
    first = (first + 1) % PIECES;
    count--;
  }
  return error ? error : (s64)sent;
}

s64 toe_receive(struct toe *toe, s32 socket, void *data, u32 length, bool all) {
  struct toe_command command = {
      .opcode = TOE_RECEIVE, .flags = all ? TOE_ALL : 0, .socket = (u32)socket, .length = length, .buffer = (u64)data};
  struct call call;
  const struct toe_completion *c = run(toe, &command, &call);
  return c->status ? -(s64)c->status : (s64)c->result;
}

s64 toe_send_to(struct toe *toe, s32 socket, const void *data, u32 length, const struct toe_address *address, u16 port) {
  struct toe_command command = {
      .opcode = TOE_SENDTO, .socket = (u32)socket, .length = length, .buffer = (u64)data, .address = *address, .port = port};
  struct call call;
  const struct toe_completion *c = run(toe, &command, &call);
  return c->status ? -(s64)c->status : (s64)c->result;
}

s64 toe_receive_from(struct toe *toe, s32 socket, void *data, u32 length, struct toe_address *address, u16 *port) {
  struct toe_command command = {.opcode = TOE_RECEIVE_FROM, .socket = (u32)socket, .length = length, .buffer = (u64)data};
  struct call call;
  const struct toe_completion *c = run(toe, &command, &call);
  if (c->status) return -(s64)c->status;
  if (address) *address = c->address;
  if (port) *port = c->port;
  return (s64)c->result;
}

s32 toe_shutdown(struct toe *toe, s32 socket, u32 direction) {
  struct toe_command command = {.opcode = TOE_SHUTDOWN, .socket = (u32)socket, .arg0 = direction};
  return simple(toe, &command);
}

s32 toe_close(struct toe *toe, s32 socket) {
  struct toe_command command = {.opcode = TOE_CLOSE, .socket = (u32)socket};
  return simple(toe, &command);
}

s32 toe_abort(struct toe *toe, s32 socket) {
  struct toe_command command = {.opcode = TOE_ABORT, .socket = (u32)socket};
  return simple(toe, &command);
}

s32 toe_set_option(struct toe *toe, s32 socket, u32 option, u32 value) {
  struct toe_command command = {.opcode = TOE_SET_OPTION, .socket = (u32)socket, .arg0 = option, .arg1 = value};
  return simple(toe, &command);
}
