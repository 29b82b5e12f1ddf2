// Usage: node echo-clients.mjs ADDRESS PORT COUNT BYTES: opens COUNT connections, and when all are open sends each its own BYTES and wants them back.
import { connect } from "node:net";

const [address = "", port = "", count = "", bytes = ""] = process.argv.slice(2);
const sockets = await Promise.all(
  Array.from(
    { length: Number(count) },
    () =>
      new Promise((resolve, reject) => {
        const socket = connect({ host: address, port: Number(port) });
        socket.once("connect", () => resolve(socket));
        socket.once("error", reject);
      }),
  ),
);
console.log(`${sockets.length} open`);
const results = await Promise.all(
  sockets.map(
    (socket, n) =>
      new Promise((resolve) => {
        const sent = Buffer.alloc(Number(bytes), `connection ${n} `);
        const parts = [];
        let had = 0;
        socket.on("data", (part) => {
          parts.push(part);
          had += part.length;
          if (had >= sent.length) socket.end();
        });
        socket.once("error", () => resolve(false));
        socket.once("close", () => resolve(Buffer.concat(parts).equals(sent)));
        socket.write(sent);
      }),
  ),
);
console.log(`${results.filter((good) => good).length} good`);
