import { heard } from './access';
import type { Read } from './shape';

const BASE = '/api/v1/';

/** Why there is no answer. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 where nobody answered. */
    readonly status: number,
    /** The parameter that was wrong, if one was. */
    readonly field: string,
  ) {
    super(message);
  }

  /** Whether asking again the same may help. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/**
 * Asks the server of this page. `path` are the segments after `/api/v1/`.
 *
 * Throws `ApiError`; an aborted question throws what `signal` was aborted with.
 */
export async function ask<T>(
  read: Read<T>,
  path: readonly string[],
  query: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<T> {
  const response = await fetch(urlOf(path, query), {
    signal: AbortSignal.any([signal, AbortSignal.timeout(20_000)]),
    headers: { accept: 'application/json' },
    redirect: 'error',
  }).catch((error: unknown) => {
    if (signal.aborted) throw error;
    const late = error instanceof DOMException && error.name === 'TimeoutError';
    throw new ApiError(late ? 'no answer within 20 s' : 'the server cannot be reached', 0, '');
  });
  const body = await response.json().catch(() => undefined);
  const { error, field } = (body ?? {}) as { error?: unknown; field?: unknown };
  heard(response, typeof error === 'string' ? error : '');
  if (response.ok && body !== undefined) return read(body);
  throw new ApiError(
    typeof error === 'string' && error ? error : `the server answered ${response.status}, not JSON`,
    response.ok ? 502 : response.status,
    typeof field === 'string' ? field : '',
  );
}

/** The address of a question; names from the cluster cannot lead out of `/api/v1/`. */
export function urlOf(path: readonly string[], query: Readonly<Record<string, string>> = {}): string {
  for (const segment of path) {
    // A browser takes these as steps, however they are escaped.
    if (segment === '' || segment === '.' || segment === '..') {
      throw new ApiError(`"${segment}" is not a name`, 400, '');
    }
  }
  const text = new URLSearchParams(query).toString();
  return BASE + path.map(encodeURIComponent).join('/') + (text ? `?${text}` : '');
}
