/** Runs queued work once a frame; once a second while the tab is hidden (no frames come then). */
export interface FrameLoop {
  request(work: () => void): void;
}

export interface FrameSource {
  onFrame(run: () => void): void;
}

/** The browser's frames, with a timer where none are drawn. */
export const browserFrames: FrameSource = {
  onFrame(run) {
    if (document.visibilityState === 'hidden') setTimeout(run, 1000);
    else requestAnimationFrame(run);
  },
};

export function createFrameLoop(source: FrameSource = browserFrames): FrameLoop {
  const queue = new Set<() => void>();
  let waiting = false;
  const run = (): void => {
    waiting = false;
    const due = [...queue];
    queue.clear();
    for (const work of due) work();
  };
  return {
    request(work) {
      queue.add(work);
      if (waiting) return;
      waiting = true;
      source.onFrame(run);
    },
  };
}

/** One loop for the whole page: every store flushes in the same frame. */
export const frames: FrameLoop = createFrameLoop();
