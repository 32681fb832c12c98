// Requests that cannot be done, in Kubernetes' words: the one error type that crosses the API.
// Source: Kubernetes API conventions, "Response Status Kind".
import type { Status, StatusCause } from "./generated/types.ts";

export type Reason =
  | "BadRequest"
  | "Unauthorized"
  | "Forbidden"
  | "NotFound"
  | "AlreadyExists"
  | "Conflict"
  | "Gone"
  | "Expired"
  | "Invalid"
  | "Timeout"
  | "TooManyRequests"
  | "MethodNotAllowed"
  | "NotAcceptable"
  | "UnsupportedMediaType"
  | "RequestEntityTooLarge"
  | "InternalError"
  | "ServiceUnavailable";

const codes: Readonly<Record<Reason, number>> = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  AlreadyExists: 409,
  Conflict: 409,
  Gone: 410,
  Expired: 410,
  Invalid: 422,
  Timeout: 504,
  TooManyRequests: 429,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  UnsupportedMediaType: 415,
  RequestEntityTooLarge: 413,
  InternalError: 500,
  ServiceUnavailable: 503,
};

export interface ErrorDetails {
  readonly group?: string;
  /** The resource (plural) or kind that was asked for. */
  readonly kind?: string;
  readonly name?: string;
  readonly causes?: readonly StatusCause[];
  readonly retryAfterSeconds?: number;
}

export class ApiError extends Error {
  readonly code: number;
  readonly reason: Reason;
  readonly details: ErrorDetails | undefined;

  constructor(reason: Reason, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = "ApiError";
    this.code = codes[reason];
    this.reason = reason;
    this.details = options.details;
  }

  /** The body that goes over the wire. */
  toStatus(): Status {
    return {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

/** Reads an error back from a response's body; anything unknown becomes an InternalError. */
export function errorFromStatus(status: Status): ApiError {
  const reason = status.reason !== undefined && status.reason in codes ? (status.reason as Reason) : "InternalError";
  return new ApiError(reason, status.message ?? "unknown error", {
    ...(status.details === undefined ? {} : { details: status.details }),
  });
}

export function isReason(error: unknown, ...reasons: readonly Reason[]): error is ApiError {
  return error instanceof ApiError && reasons.includes(error.reason);
}
