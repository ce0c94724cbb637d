import t from 'tap';
import { sqlite } from '../conformance/backend.ts';
import { conformance } from '../conformance/conformance.ts';
import { lostNodes } from '../conformance/presence.ts';

t.test('conformance', (t) => conformance(t, sqlite));
t.test('presence by the clock', (t) => lostNodes(t, sqlite));
