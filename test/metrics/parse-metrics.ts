/** Reads the Prometheus text format 0.0.4 as far as the gateway writes it, and is strict about it. */

import assert from "node:assert/strict";

export interface MetricFamily {
  readonly help: string;
  readonly type: string;
  /** Samples by their whole name, labels included, as `name{a="b"}`. */
  readonly samples: ReadonlyMap<string, number>;
}

const suffixes: Readonly<Record<string, readonly string[]>> = {
  histogram: ["_bucket", "_sum", "_count"],
  summary: ["_sum", "_count"],
};

export function parseMetrics(text: string): ReadonlyMap<string, MetricFamily> {
  assert.ok(text.endsWith("\n"), "the text ends with a line feed");
  const families = new Map<string, { help: string; type: string; samples: Map<string, number> }>();
  let current = "";
  for (const line of text.split("\n").filter((each) => each !== "")) {
    const [, keyword, name = "", rest = ""] = /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/.exec(line) ?? [];
    if (keyword === "HELP") {
      assert.equal(families.has(name), false, `${name} stands once`);
      families.set(name, { help: rest, type: "", samples: new Map() });
      current = name;
    } else if (keyword === "TYPE") {
      const family = families.get(name);
      assert.ok(family !== undefined && name === current && family.type === "", `TYPE after HELP of ${name}`);
      family.type = rest;
    } else {
      const [, sample = "", bare = "", value = ""] = /^(([a-zA-Z_:][\w:]*)(?:\{[^}]*\})?) (\S+)$/.exec(line) ?? [];
      const family = families.get(current);
      const names = [current, ...(suffixes[family?.type ?? ""] ?? []).map((suffix) => `${current}${suffix}`)];
      assert.ok(family !== undefined && names.includes(bare), `a sample of ${current}: ${line}`);
      assert.equal(family.samples.has(sample), false, `${sample} stands once`);
      // The library writes `Nan`, which Prometheus reads whatever its case.
      const number = /^nan$/i.test(value) ? Number.NaN : Number(value.replace("Inf", "Infinity"));
      assert.ok(!Number.isNaN(number) || /^nan$/i.test(value), `a number: ${line}`);
      family.samples.set(sample, number);
    }
  }
  return families;
}

/** All samples of counters and histograms. */
export function countedSamples(families: ReadonlyMap<string, MetricFamily>): ReadonlyMap<string, number> {
  const counted = [...families.values()].filter(({ type }) => type === "counter" || type === "histogram");
  return new Map(counted.flatMap(({ samples }) => [...samples]));
}
