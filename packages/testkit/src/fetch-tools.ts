import { fetchCaddy } from './caddy.ts';
import { bindCommand } from './dns-server.ts';
import { fetchFakeTime } from './fake-time.ts';
import { opensslCommand } from './openssl.ts';
import { fetchPebble } from './pebble.ts';
import { redisCommand } from './redis-server.ts';

// Up front, so that no test's time-out counts a download.
await Promise.all([
  redisCommand(),
  fetchPebble(),
  bindCommand(),
  opensslCommand(),
  fetchFakeTime(),
  fetchCaddy(),
]);
