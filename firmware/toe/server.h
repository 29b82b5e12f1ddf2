/*
 * A program on a TOE interface, bare metal: one binary for the board itself and for virtual machines with an emulated or an own interface. Boot arguments:
 *   toe.ip=ADDRESS/PREFIX (twice at most)  toe.gw=ADDRESS   where the management frame is there: configures interface toe.interface (0)
 *   toe.echo=PORT (7)  toe.http=PORT (80)  toe.iperf=PORT (5201)   servers; 0: none
 *   toe.file=MIB (1)   size of the file that the HTTP server has
 *   toe.client=ADDRESS toe.port=PORT toe.seconds=N toe.reverse=0|1 toe.parallel=N   runs as iperf3 client, then powers off
 *   toe.bytes=N        powers off after so many bytes of payload have been served; 0, the default: never
 */
#ifndef SERVER_H
#define SERVER_H
#include "toe.h"

extern struct toe toe;

/* The machine's part, in main.c. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
void power_off(void) __attribute__((noreturn));
void fatal(const char *what) __attribute__((noreturn));

/* "name=value name=value ..."; kept, not copied. */
void server_arguments(const char *text);
/* Text and numbers of the boot arguments. */
const char *argument(const char *name);
u32 parameter(const char *name, u32 otherwise);
/* Configures and grants an interface as the arguments say. */
void server_configure(u64 management, u32 interface);
/* Starts the fibers that the arguments ask for, on the interface `toe`, which is open. */
void server_begin(void);
/* Payload that a server has moved. */
void served(u64 bytes);
/* Whether as much has been served as was asked for; says so. */
bool server_finished(void);

/* Accepts at a port for ever; each connection gets a fiber that runs `serve`, and is closed behind it unless that is false. */
void server_start(const char *name, u16 port, bool (*serve)(s32 socket));

bool echo_serve(s32 socket);
bool http_prepare(u32 file_mib);
bool http_serve(s32 socket);
/* Control and data connections arrive at the same port. */
bool iperf_serve(s32 socket);
/* A fiber: one test against a server elsewhere, by the boot arguments. */
void iperf_client(void *unused);

#endif
