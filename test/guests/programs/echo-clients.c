/*
 * Opens connections to an echo server and, when all are open, sends each bytes of its own and wants them back. Prints "N open" and "N good".
 *   echo-clients ADDRESS PORT COUNT BYTES     (ADDRESS of IPv4 or IPv6)
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST 1000

static int sockets[MOST];
static size_t sent[MOST], had[MOST];
static char chunk[4096];

static char expected(int n, size_t at) { return (char)(n * 31 + at % 251); }

int main(int argc, char **argv) {
	if (argc != 5) return 2;
	int count = atoi(argv[3]), open = 0, left = 0, good = 0;
	size_t size = strtoul(argv[4], NULL, 0);
	struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2])) };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = four.sin_port };
	int old = inet_pton(AF_INET, argv[1], &four.sin_addr) == 1;
	if (count < 1 || count > MOST || (!old && inet_pton(AF_INET6, argv[1], &six.sin6_addr) != 1)) return 2;
	const struct sockaddr *to = old ? (const void *)&four : (const void *)&six;
	socklen_t to_size = old ? sizeof four : sizeof six;
	for (int n = 0; n < count; n++) {
		sockets[n] = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(sockets[n], to, to_size) && errno != EINPROGRESS) return perror("connect"), 1;
	}
	for (int n = 0; n < count; n++) {
		struct pollfd p = { .fd = sockets[n], .events = POLLOUT };
		int error = 0;
		socklen_t length = sizeof error;
		if (poll(&p, 1, 60000) == 1 && !getsockopt(sockets[n], SOL_SOCKET, SO_ERROR, &error, &length) && !error) open++;
	}
	printf("%d open\n", open);
	if (open != count) return 1;
	for (left = count; left > 0;) {
		struct pollfd p[MOST];
		for (int n = 0; n < count; n++)
			p[n] = (struct pollfd){ .fd = sockets[n], .events = (short)(POLLIN | (sent[n] < size ? POLLOUT : 0)) };
		if (poll(p, (nfds_t)count, 60000) <= 0) break;
		for (int n = 0; n < count; n++) {
			if (p[n].revents & POLLOUT) {
				size_t part = size - sent[n] < sizeof chunk ? size - sent[n] : sizeof chunk;
				for (size_t i = 0; i < part; i++) chunk[i] = expected(n, sent[n] + i);
				ssize_t done = write(sockets[n], chunk, part);
				if (done > 0) sent[n] += (size_t)done;
				if (done > 0 && sent[n] == size) shutdown(sockets[n], SHUT_WR);
			}
			if (!(p[n].revents & (POLLIN | POLLHUP | POLLERR))) continue;
			ssize_t got = read(sockets[n], chunk, sizeof chunk);
			if (got < 0 && errno == EAGAIN) continue;
			for (ssize_t i = 0; i < got; i++)
				if (chunk[i] != expected(n, had[n] + (size_t)i)) got = -1;
			if (got > 0) {
				had[n] += (size_t)got;
				continue;
			}
			/* The end of the stream, after the server has read ours. */
			if (got == 0 && had[n] == size) good++;
			close(sockets[n]);
			sockets[n] = -1;
			left--;
		}
	}
	printf("%d good\n", good);
	return good == count ? 0 : 1;
}
