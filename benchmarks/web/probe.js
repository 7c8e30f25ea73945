// Put into every page before its own scripts: when candles are on the screen, how even the frames are, which tasks are
// long. It looks once a frame and touches nothing.
(() => {
  const drawn = () => Number(document.querySelector('[data-testid="price-chart"]')?.dataset.bars ?? 0) > 5;
  // A frame's callbacks run before it is painted; a message posted in them is heard right behind it.
  const painted = (then) =>
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => then(performance.now());
      port2.postMessage(null);
    });
  const once = (condition) =>
    new Promise((then) => {
      const look = () => (condition() ? painted(then) : requestAnimationFrame(look));
      look();
    });
  const probe = { firstCandle: once(drawn), switched: null, tasks: [], frames: null };
  new PerformanceObserver((list) => {
    for (const { startTime, duration } of list.getEntries()) probe.tasks.push([startTime, duration]);
  }).observe({ type: 'longtask', buffered: true });

  probe.firstPaint = () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null;

  // From the key's own time to a chart that holds another series' candles, painted. A chart says whose candles it has
  // drawn; one that was made anew is another too.
  probe.armSwitch = () => {
    const before = document.querySelector('[data-testid="price-chart"]');
    const series = before?.dataset.series;
    const another = () => {
      const now = document.querySelector('[data-testid="price-chart"]');
      return drawn() && (now !== before || now.dataset.series !== series);
    };
    probe.switched = new Promise((then) => {
      const pressed = async ({ timeStamp }) => then((await once(another)) - timeStamp);
      addEventListener('keydown', pressed, { capture: true, once: true });
    });
  };

  // Milliseconds between frames from now until stopFrames().
  probe.startFrames = () => {
    const frames = [];
    probe.frames = frames;
    let last = null;
    const frame = (at) => {
      if (probe.frames !== frames) return;
      if (last !== null) frames.push(at - last);
      last = at;
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
    return performance.now();
  };
  probe.stopFrames = () => {
    const { frames } = probe;
    probe.frames = null;
    return frames;
  };
  Object.defineProperty(window, 'probe', { value: probe });
})();
