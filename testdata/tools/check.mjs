// What the scripts of this folder share: the environment, and one line per check.

import { readFileSync } from 'node:fs';

const need = (name) => process.env[name] ?? (console.error(`set ${name}`), process.exit(2));

export const httpUrl = need('HTTP_URL');
export const wsUrl = need('WS_URL');
export const key = need('PRIVATE_KEY');
export const probe = JSON.parse(readFileSync(new URL('Probe.json', import.meta.url)));
export const other = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8';

// The longest wait for anything.
const PATIENCE = 60_000;
const checks = [];

export const check = (name, run) => checks.push([name, run]);

export function expect(condition, what) {
  if (!condition) throw new Error(what);
}

export function same(found, expected) {
  const text = (value) => JSON.stringify(value, (_, v) => (typeof v === 'bigint' ? `${v}` : v));
  expect(text(found) === text(expected), `${text(found)} instead of ${text(expected)}`);
}

// What `run` throws; it must throw.
export async function thrown(run) {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

export function within(what, promise) {
  const late = new Promise((_, reject) =>
    setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE).unref());
  return Promise.race([promise, late]);
}

// Repeats `probe` until it gives something.
export async function until(what, probe) {
  const deadline = Date.now() + PATIENCE;
  while (Date.now() < deadline) {
    const found = await probe();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`waited in vain for ${what}`);
}

// Runs all checks, one after the other, and ends the process.
export async function finish() {
  let failed = 0;
  for (const [name, run] of checks) {
    try {
      await within(name, run());
      console.log(`ok ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name} ${String(error?.message ?? error).replace(/\s+/g, ' ').slice(0, 400)}`);
    }
  }
  process.exit(failed ? 1 : 0);
}
