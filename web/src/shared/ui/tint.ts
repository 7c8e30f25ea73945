/**
 * A tint that fades in four steps of 150 ms, for all cells on one clock. A CSS or Web animation of a colour makes the
 * browser style and paint again in every frame: 33 moving cells took half of the main thread so, a tenth in steps.
 */
const STEP_MS = 150;
export const STEPS = 4;

const fading = new Map<HTMLElement, { direction: 'up' | 'down'; left: number }>();
let timer: ReturnType<typeof setInterval> | undefined;

/** Whether the reader's system lets things move. */
export function movable(): boolean {
  return typeof matchMedia !== 'function' || !matchMedia('(prefers-reduced-motion: reduce)').matches;
}

/** Tint the cell now, or again; `data-tint` is its direction and the steps that are left, gone after 600 ms at most. */
export function tint(cell: HTMLElement, direction: 'up' | 'down'): void {
  fading.set(cell, { direction, left: STEPS });
  cell.dataset.tint = `${direction}-${STEPS}`;
  timer ??= setInterval(fade, STEP_MS);
}

/** A cell that leaves the page fades no more. */
export function untint(cell: HTMLElement): void {
  delete cell.dataset.tint;
  fading.delete(cell);
}

function fade(): void {
  for (const [cell, state] of fading) {
    state.left -= 1;
    if (state.left === 0) untint(cell);
    else cell.dataset.tint = `${state.direction}-${state.left}`;
  }
  if (fading.size > 0) return;
  clearInterval(timer);
  timer = undefined;
}
