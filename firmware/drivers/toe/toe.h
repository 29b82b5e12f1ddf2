/* TCP/IP offload engine: a control interface's rings, commands and completions. The manual is docs/devices/toe.md; section numbers below are its. */
#ifndef TOE_H
#define TOE_H
#include "types.h"

/* Control interface (16). */
#define TOE_ID 0x000u
#define TOE_ID_VALUE 0x49454f54u
#define TOE_VERSION 0x004u
#define TOE_MAX_LENGTH 0x010u
#define TOE_MAX_COMMANDS 0x014u
#define TOE_CONTROL 0x020u
#define TOE_CONTROL_ENABLE (1u << 0)
#define TOE_CONTROL_RESET (1u << 1)
#define TOE_STATUS 0x024u
#define TOE_STATUS_READY (1u << 0)
#define TOE_STATUS_GRANTED (1u << 1)
#define TOE_STATUS_FAILED (1u << 2)
#define TOE_STATUS_LINK (1u << 3)
#define TOE_ERROR_CAUSE 0x028u
#define TOE_INTERRUPT_STATUS 0x040u
#define TOE_INTERRUPT_ENABLE 0x044u
#define TOE_INTERRUPT_COMPLETION (1u << 0)
#define TOE_INTERRUPT_ERROR (1u << 2)
#define TOE_COMPLETION_MODERATION 0x04cu
#define TOE_SQ_BASE 0x080u
#define TOE_SQ_SIZE 0x088u
#define TOE_SQ_TAIL 0x08cu
#define TOE_SQ_HEAD 0x090u
#define TOE_CQ_BASE 0x0a0u
#define TOE_CQ_SIZE 0x0a8u
#define TOE_CQ_HEAD 0x0acu
#define TOE_ADDRESS 0x200u
#define TOE_PREFIX 0x280u
#define TOE_COUNTER 0x400u

/* Management frame. */
#define TOE_MANAGEMENT_ID_VALUE 0x4d454f54u
#define TOE_TABLE_SELECT 0x080u
#define TOE_TABLE_ROUTES (1u << 8)
#define TOE_TABLE_COMMAND 0x084u
#define TOE_TABLE_WRITE 1u
#define TOE_TABLE_STATUS 0x088u
#define TOE_TABLE_ADDRESS 0x090u
#define TOE_TABLE_GATEWAY 0x0a0u
#define TOE_TABLE_PREFIX 0x0b0u
#define TOE_TABLE_VALID (1u << 8)
#define TOE_IF_CONTROL 0x1000u
#define TOE_IF_STRIDE 0x40u
#define TOE_IF_ENABLE (1u << 0)

/* Commands (7). */
enum toe_opcode {
  TOE_NOP, TOE_SOCKET, TOE_BIND, TOE_LISTEN, TOE_ACCEPT, TOE_CONNECT, TOE_SEND, TOE_RECEIVE, TOE_SENDTO, TOE_RECEIVE_FROM,
  TOE_SHUTDOWN, TOE_CLOSE, TOE_ABORT, TOE_SET_OPTION, TOE_GET_OPTION, TOE_POLL, TOE_CANCEL, TOE_GET_NAME
};
#define TOE_LIST (1u << 0)
#define TOE_NOWAIT (1u << 1)
#define TOE_ACKNOWLEDGED (1u << 2)
#define TOE_ALL (1u << 3)
#define TOE_TCP 1u
#define TOE_UDP 2u
#define TOE_SHUT_SEND 1u
#define TOE_SHUT_RECEIVE 2u
#define TOE_LONGEST 65536u

/* Options (7.1). */
#define TOE_NO_DELAY 0u
#define TOE_KEEP_ALIVE 1u
#define TOE_SEND_BUFFER 5u
#define TOE_RECEIVE_BUFFER 6u

/* Status codes (8.1); functions return them negated. */
#define TOE_SUCCESS 0
#define TOE_WOULD_BLOCK 1
#define TOE_REFUSED 9
#define TOE_RESET 10
#define TOE_CLOSED 16
#define TOE_COMMAND_TIMEOUT 38
/* Of this driver: the interface failed or has no room. */
#define TOE_NO_ROOM 128

/* Completion flags (8). */
#define TOE_MORE (1u << 0)
#define TOE_END (1u << 1)
#define TOE_TRUNCATED (1u << 2)

/* 16 bytes in network order; IPv4 is ::ffff:a.b.c.d (2). */
struct toe_address {
  u8 byte[16];
};

struct toe_command {
  u8 opcode, flags;
  u16 reserved0;
  u32 tag, socket, length;
  u64 buffer;
  u32 arg0, arg1;
  struct toe_address address;
  u16 port, reserved1;
  u32 timeout;
  u64 user;
};

struct toe_completion {
  u64 user;
  u32 tag, socket, result, buffer_id;
  u64 buffer;
  struct toe_address address;
  u16 port, sq_head;
  u8 reserved[8];
  u8 opcode, flags, status, phase;
};

/* A command under way. Called for each completion; the request is free again unless TOE_MORE is set. */
struct toe_request {
  void (*done)(struct toe_request *request, const struct toe_completion *completion);
};

#define TOE_SQ_LOG2 8u
#define TOE_CQ_LOG2 10u

struct toe {
  u64 base;
  struct toe_command *sq;
  struct toe_completion *cq;
  u32 sq_tail, sq_head, cq_head;
  u8 phase;
  /* Commands submitted and not completed; at most `most`, so that the completion ring always has room. */
  u32 outstanding, most;
  u64 interrupts;
};

/* Memory of the rings: 64-byte aligned, reachable by the device. */
#define TOE_MEMORY ((64u << TOE_SQ_LOG2) + (64u << TOE_CQ_LOG2))

/* Resets the interface whose frame is at `base` and sets its rings up. False where there is none, or it is not granted. */
bool toe_open(struct toe *toe, u64 base, void *memory);
/* Puts a command (all but `user`, which is the driver's) into the ring. False: no room now; completions make some. */
bool toe_submit(struct toe *toe, const struct toe_command *command, struct toe_request *request);
/* Takes all completions that are there; returns how many. */
u32 toe_poll(struct toe *toe);
/* Acknowledges the interrupt; `toe_poll` then finds what it was about. */
void toe_interrupt(struct toe *toe);
/* A counter of the interface (14). */
u64 toe_counter(const struct toe *toe, u32 number);

/* manage.c: through the management frame. Prefixes count as usual for the family: 24 of IPv4. False: refused. */
bool toe_manage_address(u64 management, u32 interface, u32 entry, const struct toe_address *address, u32 prefix);
bool toe_manage_route(u64 management, u32 interface, u32 entry, const struct toe_address *destination, u32 prefix,
                      const struct toe_address *gateway);
void toe_manage_enable(u64 management, u32 interface);

/* address.c: "10.0.2.15" or "fe80::1"; returns what follows, NULL where there is no address. */
const char *toe_parse_address(const char *text, struct toe_address *address);
bool toe_is_ipv4(const struct toe_address *address);

/*
 * socket.c: sockets whose calls return when the command is done. Results below 0 are negated status codes. `toe_block` is the program's: it returns when
 * *done is true, and lets completions be taken until then.
 */
void toe_block(struct toe *toe, volatile bool *done);

s32 toe_socket(struct toe *toe, u32 type, u32 family);
s32 toe_bind(struct toe *toe, s32 socket, const struct toe_address *address, u16 port);
s32 toe_listen(struct toe *toe, s32 socket, u32 backlog);
s32 toe_accept(struct toe *toe, s32 socket);
s32 toe_connect(struct toe *toe, s32 socket, const struct toe_address *address, u16 port);
/* All of it, by several commands at a time; the bytes taken, or an error. */
s64 toe_send(struct toe *toe, s32 socket, const void *data, u64 length);
/* What there is, at least one byte; 0: the peer has closed. With `all`, `length` bytes unless it closes before. At most 64 KiB. */
s64 toe_receive(struct toe *toe, s32 socket, void *data, u32 length, bool all);
s64 toe_send_to(struct toe *toe, s32 socket, const void *data, u32 length, const struct toe_address *address, u16 port);
s64 toe_receive_from(struct toe *toe, s32 socket, void *data, u32 length, struct toe_address *address, u16 *port);
s32 toe_shutdown(struct toe *toe, s32 socket, u32 direction);
s32 toe_close(struct toe *toe, s32 socket);
s32 toe_abort(struct toe *toe, s32 socket);
s32 toe_set_option(struct toe *toe, s32 socket, u32 option, u32 value);

#endif
