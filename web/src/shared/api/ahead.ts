declare global {
  interface Window {
    /** Answers that `public/start.js` asked for before this code was there, by their full address. */
    candlewickAhead?: Map<string, Promise<Response>>;
  }
}

/** Fetch, or take the answer that was asked for ahead: each is given once, and a failed one is asked for again. */
export function fetchOrTake(request: Request): Promise<Response> {
  const answers = globalThis.window?.candlewickAhead;
  const answer = request.method === 'GET' ? answers?.get(request.url) : undefined;
  if (answer === undefined) return globalThis.fetch(request);
  answers?.delete(request.url);
  return answer.catch(() => globalThis.fetch(request));
}
