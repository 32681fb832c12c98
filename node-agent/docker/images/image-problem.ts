// What the images' room refuses, as Docker's API says it. Pure.
import { ImageInUseError, PullError, type PullFailure } from "../../images/images.ts";
import { ImageConflictError, NoSuchImageError, NoSuchPathError, PushError } from "../../images/library.ts";
import { DockerProblem, messageOf } from "../http/problem.ts";

const statusOf: Readonly<Record<PullFailure, number>> = {
  InvalidImageName: 400,
  NotFound: 404,
  Denied: 403,
  RegistryUnavailable: 500,
  WrongDigest: 500,
  BadLayer: 400,
  NoSpace: 507,
  NoMatchingPlatform: 404,
  BadSignature: 403,
};

export function imageProblem(error: unknown): unknown {
  const problem = (status: number, message = messageOf(error)) => new DockerProblem(status, message, { cause: error });
  if (error instanceof NoSuchImageError)
    return problem(404, messageOf(error).replace(/^no such image/, "No such image"));
  if (error instanceof ImageConflictError || error instanceof ImageInUseError)
    return problem(409, `conflict: ${messageOf(error)}`);
  if (error instanceof NoSuchPathError) return problem(404);
  if (error instanceof PushError)
    return problem(error.failure === "Denied" ? 403 : error.failure === "InvalidImageName" ? 400 : 500);
  if (error instanceof PullError) return problem(statusOf[error.failure]);
  return error;
}

/** Runs what asks the images' room. */
export async function asking<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw imageProblem(error);
  }
}
