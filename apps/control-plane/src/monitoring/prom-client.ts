import { createRequire } from 'node:module';
import type * as promClient from 'prom-client';

const require = createRequire(import.meta.url);

/** prom-client without its default metrics, which load OpenTelemetry's API with them: 80 modules of 88. */
export const Registry: typeof promClient.Registry = require('prom-client/lib/registry.js');
export const Counter: typeof promClient.Counter = require('prom-client/lib/counter.js');
export const Gauge: typeof promClient.Gauge = require('prom-client/lib/gauge.js');
export const Histogram: typeof promClient.Histogram = require('prom-client/lib/histogram.js');

/** Those are for whoever scrapes: they begin with the first scrape. */
export function collectDefaultMetrics(register: promClient.Registry): void {
  (require('prom-client') as typeof promClient).collectDefaultMetrics({ register });
}
