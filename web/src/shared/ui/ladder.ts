/** One drawn level: price, size, and the sum of sizes from the spread outwards. */
export interface Level {
  price: number;
  size: number;
  sum: number;
}

type Side = 'bid' | 'ask';

/**
 * Group levels into steps (bids fall to the lower step, asks rise to the upper, so that no group promises a better
 * price than the book has) and add running sums. Best price first.
 */
export function groupLevels(levels: readonly (readonly number[])[], step: number, side: Side): Level[] {
  const grouped: Level[] = [];
  let sum = 0;
  for (const [price = 0, size = 0] of levels) {
    // The epsilon keeps 53222.60 / 0.01 from falling below its own step in binary.
    const steps = side === 'bid' ? Math.floor(price / step + 1e-6) : Math.ceil(price / step - 1e-6);
    const at = steps * step;
    sum += size;
    const last = grouped[grouped.length - 1];
    if (last && Math.abs(last.price - at) < step / 2) {
      last.size += size;
      last.sum = sum;
    } else grouped.push({ price: at, size, sum });
  }
  return grouped;
}

/** Steps offered for grouping: the tick and its 1-2-5-10 multiples that still leave some levels of a 20-level book. */
export function groupSteps(tick: number, levels: readonly (readonly number[])[]): number[] {
  const first = levels[0]?.[0] ?? 0;
  const last = levels[levels.length - 1]?.[0] ?? 0;
  const span = Math.abs(first - last);
  const steps: number[] = [];
  for (const factor of [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]) {
    const step = tick * factor;
    if (factor === 1 || step * 3 <= span) steps.push(step);
  }
  return steps.length > 6 ? [steps[0] as number, ...steps.slice(-5)] : steps;
}
