import { createServer } from 'node:http';

// A process of its own: answers `body` on the port it is given.
const [port = '0', body = ''] = process.argv.slice(2);
const bytes = Buffer.from(body);
const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/plain', 'content-length': bytes.length }).end(bytes);
});
server.listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
