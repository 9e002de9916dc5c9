// Usage: node follow.mjs HOST PORT HEADER    (node follow.mjs localhost 4321 "-10 nginx/access.log")
import net from "node:net";
const [host, port, header] = process.argv.slice(2);
const server = net.connect(port, host);
server.write(header + "\n");
server.pipe(process.stdout);
