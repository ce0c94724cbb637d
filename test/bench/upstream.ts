import { createServer } from 'node:http';

// A process of its own: answers `body` on the port it is given, and so many bytes to `/large`.
const [port = '0', body = '', largeBytes = '0'] = process.argv.slice(2);
const small = Buffer.from(body);
const large = Buffer.alloc(Number(largeBytes), 'lockstep');
const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
  request.resume();
  const bytes = request.url === '/large' ? large : small;
  const answer = () =>
    response.writeHead(200, { 'content-type': 'text/plain', 'content-length': bytes.length }).end(bytes);
  if (request.method === 'POST') request.on('end', answer);
  else answer();
});
server.listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => process.exit(0));
