import t from 'tap';
import { isAdminHost, nameInHost } from '../../src/index.ts';

t.test('reads the name in a Host field, and nothing that is none', async (t) => {
  const fields: [string, string | null][] = [
    ['API.example.com', 'api.example.com'],
    ['api.example.com.:7400', 'api.example.com'],
    ['127.0.0.1:7400', '127.0.0.1'],
    ['[::1]:7400', '[::1]'],
    ['localhost', 'localhost'],
    ['localhost:', 'localhost'],
    ['', null],
    ['a b', null],
    ['user@localhost', null],
    ['localhost/x', null],
    ['localhost, evil.example', null],
    ['::1', null],
    ['localhost:x', null],
    ['a..b', null],
  ];
  for (const [field, name] of fields) t.equal(nameInHost(field), name, JSON.stringify(field));
});

t.test('an admin listener answers to addresses, to localhost and to its own names alone', async (t) => {
  const names = ['api.internal', 'Control-Plane'];
  const own = ['127.0.0.1', '10.0.0.7', '[::1]', 'localhost', 'x.localhost', 'api.internal', 'control-plane'];
  const foreign = [
    'evil.example',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'xlocalhost',
    'internal',
  ];
  for (const name of own) t.equal(isAdminHost(name, names), true, name);
  for (const name of foreign) t.equal(isAdminHost(name, names), false, name);
});
