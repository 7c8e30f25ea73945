/** One message of any Candlewick socket. */
export interface Envelope<T> {
  type: 'snapshot' | 'update' | 'heartbeat' | 'error';
  id: string | null;
  ts: number;
  data: T;
}

export type LinkState =
  | { kind: 'connecting' }
  | { kind: 'open' }
  /** `since` and `retryAt` are of this machine's clock (ms), for a countdown. */
  | { kind: 'offline'; since: number; retryAt: number };

export interface SocketHandlers<T> {
  onData(data: T, type: 'snapshot' | 'update'): void;
  onState(state: LinkState): void;
  /** The server cannot resume where we were: what lies between is a hole; a snapshot follows. */
  onHole?(): void;
  onRefused?(code: string, detail: string): void;
}

export interface SocketOptions {
  /** Delay before the first retry; doubles up to `maxDelay`, with jitter so that a thousand pages do not knock at once. */
  minDelay?: number;
  maxDelay?: number;
  /** Silence after which a socket counts as dead; the server's heartbeat comes each 30 s. */
  silence?: number;
  create?: (url: string) => WebSocket;
  now?: () => number;
  random?: () => number;
}

/** A same-origin socket that reconnects and resumes from the last id it saw. */
export class ResumingSocket<T> {
  private socket: WebSocket | null = null;
  private lastId: string | null = null;
  private attempts = 0;
  private closed = false;
  private offlineSince: number | null = null;
  private retryTimer: ReturnType<typeof setTimeout> | undefined;
  private silenceTimer: ReturnType<typeof setTimeout> | undefined;
  private readonly options: Required<SocketOptions>;

  constructor(
    private readonly path: string,
    private readonly handlers: SocketHandlers<T>,
    options: SocketOptions = {},
  ) {
    this.options = {
      minDelay: 500,
      maxDelay: 15_000,
      silence: 75_000,
      create: (url) => new WebSocket(url),
      now: () => Date.now(),
      random: Math.random,
      ...options,
    };
    globalThis.addEventListener?.('online', this.retryNow);
    this.connect();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.retryTimer);
    clearTimeout(this.silenceTimer);
    globalThis.removeEventListener?.('online', this.retryNow);
    this.drop();
  }

  readonly retryNow = (): void => {
    if (this.closed || this.offlineSince === null) return;
    clearTimeout(this.retryTimer);
    this.connect();
  };

  private drop(): void {
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
    socket.close();
  }

  private connect(): void {
    const url = new URL(this.path, location.href);
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
    if (this.lastId !== null) url.searchParams.set('after', this.lastId);
    if (this.offlineSince === null) this.handlers.onState({ kind: 'connecting' });
    this.drop();
    const socket = this.options.create(url.href);
    this.socket = socket;
    socket.onopen = () => this.watchSilence();
    socket.onmessage = (event: MessageEvent<string>) => this.receive(event.data);
    socket.onclose = () => this.lost();
    // An error is always followed by close, which carries on from there.
    socket.onerror = null;
  }

  private receive(text: string): void {
    this.watchSilence();
    const message = JSON.parse(text) as Envelope<T> & { data: { code?: string; detail?: string } };
    // Tickers carry no place in the log (an empty id): they start again from a snapshot.
    if (message.id && message.type !== 'error') this.lastId = message.id;
    if (this.attempts > 0 || this.offlineSince !== null || message.type === 'snapshot') this.opened();
    if (message.type === 'snapshot' || message.type === 'update') this.handlers.onData(message.data, message.type);
    else if (message.type === 'error') {
      const { code = 'UNKNOWN', detail = '' } = message.data ?? {};
      if (code === 'HOLE') {
        this.lastId = null;
        this.handlers.onHole?.();
      } else if (code !== 'SLOW') this.handlers.onRefused?.(code, detail);
    }
  }

  private opened(): void {
    this.attempts = 0;
    this.offlineSince = null;
    this.handlers.onState({ kind: 'open' });
  }

  private watchSilence(): void {
    clearTimeout(this.silenceTimer);
    this.silenceTimer = setTimeout(() => this.lost(), this.options.silence);
  }

  private lost(): void {
    clearTimeout(this.silenceTimer);
    this.drop();
    if (this.closed) return;
    const { minDelay, maxDelay, now, random } = this.options;
    const delay = Math.min(maxDelay, minDelay * 2 ** this.attempts) * (0.75 + 0.5 * random());
    this.attempts += 1;
    this.offlineSince ??= now();
    this.handlers.onState({ kind: 'offline', since: this.offlineSince, retryAt: now() + delay });
    this.retryTimer = setTimeout(() => this.connect(), delay);
  }
}
