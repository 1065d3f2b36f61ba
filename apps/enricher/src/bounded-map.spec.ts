import fc from 'fast-check';
import { BoundedMap } from './bounded-map.ts';

test('it never holds more than its limit, and lets go of the oldest', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 300 }), fc.array(fc.nat(400)), (max, keys) => {
      const evicted: number[] = [];
      const map = new BoundedMap<number, number>(max, (value) => evicted.push(value));
      keys.forEach((key, at) => {
        map.delete(key);
        map.set(key, at);
        expect(map.size).toBeLessThanOrEqual(max);
        expect(map.get(key)).toBe(at);
      });
      expect(evicted).toEqual([...evicted].sort((a, b) => a - b));
      expect(map.evicted).toBe(evicted.length);
      const [oldest] = map.values();
      if (oldest !== undefined) expect(Math.max(-1, ...evicted)).toBeLessThan(oldest);
    }),
  );
});
