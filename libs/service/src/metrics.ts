import { Counter, Gauge, Registry } from 'prom-client';

export type Labels = Record<string, string | number>;
/** What a collector function gives: one number, or one per set of labels. */
export type Samples = number | Iterable<readonly [Labels, number]>;

/**
 * A service's metrics in Prometheus text. Most values are kept where they arise and are only
 * read when somebody asks, which costs the hot path nothing.
 */
export class Metrics {
  readonly #registry = new Registry();
  readonly contentType = this.#registry.contentType;

  /** A counter that is counted here; returns the function that adds to it. */
  counter(name: string, help: string, labelNames: string[] = []) {
    const counter = new Counter({ name, help, labelNames, registers: [this.#registry] });
    return (by = 1, labels: Labels = {}) => counter.inc(labels, by);
  }

  /** A counter whose value `read` knows. */
  counterOf(name: string, help: string, read: () => Samples, labelNames: string[] = []): void {
    const collect = function (this: Counter) {
      this.reset();
      for (const [labels, value] of each(read())) this.inc(labels, value);
    };
    new Counter({ name, help, labelNames, collect, registers: [this.#registry] });
  }

  /** A gauge whose value `read` knows. */
  gaugeOf(name: string, help: string, read: () => Samples, labelNames: string[] = []): void {
    const collect = function (this: Gauge) {
      this.reset();
      for (const [labels, value] of each(read())) this.set(labels, value);
    };
    new Gauge({ name, help, labelNames, collect, registers: [this.#registry] });
  }

  /** Everything, in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }
}

function each(samples: Samples): Iterable<readonly [Labels, number]> {
  return typeof samples === 'number' ? [[{}, samples]] : samples;
}

/** What every process can say of itself, under Prometheus' customary names. */
export function processMetrics(metrics: Metrics, service: string, version: string): void {
  metrics.gaugeOf('netstatd_build_info', 'the running build', () => [[{ service, version }, 1]], [
    'service',
    'version',
  ]);
  metrics.counterOf('process_cpu_seconds_total', 'user and system CPU time', () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  metrics.gaugeOf('process_resident_memory_bytes', 'resident memory', () =>
    process.memoryUsage.rss(),
  );
  const startedAt = Date.now() / 1000 - process.uptime();
  metrics.gaugeOf('process_start_time_seconds', 'start, seconds since 1970', () => startedAt);
}
