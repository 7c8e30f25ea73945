import createClient from 'openapi-fetch';
import { fetchOrTake } from './ahead';
import type { paths } from './schema';
import type { Problem } from './types';

/** A refusal or failure of the API, with what a user may quote when asking for help. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly status: number,
    readonly correlationId: string | null,
  ) {
    super(message);
    this.name = 'ApiError';
  }
}

/** The page and the API share one origin; nothing is ever asked elsewhere. */
export const api = createClient<paths>({
  baseUrl: location.origin,
  fetch: fetchOrTake,
});

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Await an openapi-fetch call; give its data or throw `ApiError` (code `NO_ANSWER` when the server was not reached). */
export async function ask<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause;
    throw new ApiError('The server did not answer', 'NO_ANSWER', 0, null);
  }
  const { data, error, response } = answer;
  if (response.ok && data !== undefined) return data;
  const problem = (typeof error === 'object' && error !== null ? error : {}) as Partial<Problem>;
  throw new ApiError(
    problem.detail ?? problem.title ?? `The server answered ${response.status}`,
    problem.code ?? `HTTP_${response.status}`,
    response.status,
    problem.correlation_id ?? response.headers.get('x-correlation-id'),
  );
}
