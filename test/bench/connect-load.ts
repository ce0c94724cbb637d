import { connect, type TLSSocket } from 'node:tls';

// A process of its own: opens connections one after the other, `concurrency` at once, each for one GET and for one of `hosts` hosts, until the
// time is over; or opens so many at once and holds them until its standard input ends.
const [mode = '', port = '', ca = '', pattern = '', hosts = '', amount = '', concurrency = ''] =
  process.argv.slice(2);
const sessions = new Map<string, Buffer>();
let requests = 0;
let errors = 0;
let resumed = 0;

function hostOf(index: number): string {
  return pattern.replace('%', String(index % Number(hosts)).padStart(7, '0'));
}

function open(
  index: number,
  connection: 'close' | 'keep-alive',
  onAnswer: (socket: TLSSocket) => void,
): TLSSocket {
  const servername = hostOf(index);
  const session = mode === 'resumed' ? sessions.get(servername) : undefined;
  const socket = connect({
    host: '127.0.0.1',
    port: Number(port),
    servername,
    ca,
    // The same for all: not every peer knows the hybrid ones.
    ecdhCurve: 'X25519',
    ALPNProtocols: ['http/1.1'],
    ...(session === undefined ? {} : { session }),
  });
  if (mode === 'resumed') socket.on('session', (ticket) => sessions.set(servername, ticket));
  let text = '';
  let answered = false;
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
    if (answered || !text.includes('\r\n\r\n')) return;
    answered = true;
    if (!text.startsWith('HTTP/1.1 200')) errors += 1;
    if (socket.isSessionReused()) resumed += 1;
    onAnswer(socket);
  });
  socket.on('error', () => {
    errors += 1;
  });
  socket.write(`GET / HTTP/1.1\r\nHost: ${servername}\r\nConnection: ${connection}\r\n\r\n`);
  return socket;
}

async function load(): Promise<void> {
  const until = Date.now() + Number(amount) * 1_000;
  let index = 0;
  const one = async () => {
    while (Date.now() < until) {
      index += 1;
      await new Promise<void>((resolve) => {
        open(index, 'close', () => {
          requests += 1;
        }).on('close', () => resolve());
      });
    }
  };
  await Promise.all(Array.from({ length: Number(concurrency) }, one));
  process.stdout.write(`${JSON.stringify({ requests, errors, resumed })}\n`);
}

async function hold(): Promise<void> {
  const sockets: TLSSocket[] = [];
  for (let index = 0; index < Number(amount); index += 1) {
    await new Promise<void>((resolve, reject) => {
      sockets.push(open(index, 'keep-alive', () => resolve()).on('error', reject));
    });
  }
  process.stdout.write('held\n');
  process.stdin.on('end', () => process.exit(0)).resume();
}

await (mode === 'hold' ? hold() : load());
