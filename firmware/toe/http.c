/* HTTP/1.1 (RFC 9112): GET and HEAD of a page and of a large file, persistent connections. */
#include "memory.h"
#include "server.h"
#include "text.h"

#define REQUEST 0x1000u
#define HEADER 0x200u

static const char page[] =
    "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>Armature</title></head>\n<body>\n"
    "<h1>A bare-metal web server</h1>\n<p>TCP is in the TOE. <a href=\"/file\">A large file</a>.</p>\n</body>\n</html>\n";

static u8 *file;
static u64 file_size;

/* The file's 32-bit words are x(n+1) = 1664525 x(n) + 1013904223 from x(0) = 1, little-endian. */
bool http_prepare(u32 file_mib) {
  file_size = (u64)file_mib << 20;
  file = memory_take(file_size);
  if (!file) return false;
  u32 x = 1;
  for (u32 *word = (u32 *)file; word < (u32 *)(file + file_size); word++) {
    *word = x;
    x = x * 1664525u + 1013904223u;
  }
  return true;
}

struct buffers {
  struct buffers *next;
  char request[REQUEST];
  char header[HEADER];
};
static struct buffers *unused;

static bool starts(const char *text, const char *with) { return !memcmp(text, with, strlen(with)); }

/* Whether a header field `Connection` has the token `close`; names and tokens are case-insensitive (RFC 9110 5.1). */
static bool wants_close(const char *request) {
  for (const char *p = request; *p; p++) {
    if (*p != '\n') continue;
    const char *name = "connection:";
    const char *q = p + 1;
    while (*name && (*q | 0x20) == (*name | 0x20)) q++, name++;
    if (*name) continue;
    for (; *q && *q != '\r'; q++) {
      const char *token = "close";
      const char *r = q;
      while (*token && (*r | 0x20) == *token) r++, token++;
      if (!*token) return true;
    }
  }
  return false;
}

static bool respond(s32 socket, struct buffers *b, const char *status, const char *type, const void *body, u64 length, bool head, bool close) {
  char *at = text_put(b->header, "HTTP/1.1 ");
  at = text_put(text_put(at, status), "\r\nServer: armature\r\nContent-Type: ");
  at = text_put(text_put(at, type), "\r\nContent-Length: ");
  at = text_put(text_put_number(at, length), close ? "\r\nConnection: close\r\n\r\n" : "\r\n\r\n");
  s64 size = at - b->header;
  if (toe_send(&toe, socket, b->header, (u64)size) != size) return false;
  if (!head && toe_send(&toe, socket, body, length) != (s64)length) return false;
  served(head ? 0 : length);
  return !close;
}

/* One request, ended by a zero; false: the connection is to be closed. */
static bool answer(s32 socket, struct buffers *b) {
  const char *request = b->request;
  bool head = starts(request, "HEAD ");
  bool close = wants_close(request);
  static const char method[] = "only GET and HEAD\n", missing[] = "no such page\n", bad[] = "no HTTP/1 request\n";
  const char *line = request;
  while (*line && *line != '\r' && *line != '\n') line++;
  bool version = false;
  for (const char *p = request; p + 7 <= line; p++)
    if (starts(p, "HTTP/1.")) {
      version = true;
      if (p[7] == '0') close = true;
    }
  if (!version) return respond(socket, b, "400 Bad Request", "text/plain", bad, sizeof bad - 1, false, true);
  if (!head && !starts(request, "GET ")) return respond(socket, b, "405 Method Not Allowed", "text/plain", method, sizeof method - 1, false, true);
  const char *path = request + (head ? 5 : 4);
  if (starts(path, "/ ") || starts(path, "/index.html "))
    return respond(socket, b, "200 OK", "text/html; charset=utf-8", page, sizeof page - 1, head, close);
  if (starts(path, "/file ")) return respond(socket, b, "200 OK", "application/octet-stream", file, file_size, head, close);
  return respond(socket, b, "404 Not Found", "text/plain", missing, sizeof missing - 1, head, close);
}

bool http_serve(s32 socket) {
  struct buffers *b = unused;
  if (b) unused = b->next;
  else b = memory_take(sizeof *b);
  if (!b) return true;
  u32 have = 0;
  for (bool open = true; open;) {
    /* The end of the request's header section; what lies behind it is the next request. */
    u32 end = 0;
    for (u32 i = 3; i < have && !end; i++)
      if (!memcmp(&b->request[i - 3], "\r\n\r\n", 4)) end = i + 1;
    if (end) {
      char kept = b->request[end];
      b->request[end] = 0;
      open = answer(socket, b);
      b->request[end] = kept;
      memcpy(b->request, &b->request[end], have - end);
      have -= end;
      continue;
    }
    if (have == REQUEST - 1) break;
    s64 count = toe_receive(&toe, socket, &b->request[have], REQUEST - 1 - have, false);
    if (count <= 0) break;
    have += (u32)count;
  }
  b->next = unused;
  unused = b;
  return true;
}
