// Requests that cannot be done, with the status code that Docker's API has for the case and a text for the one who asked.

export class DockerProblem extends Error {
  readonly status: number;

  constructor(status: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DockerProblem";
    this.status = status;
  }
}

export function badRequest(message: string): DockerProblem {
  return new DockerProblem(400, message);
}

export function notFound(message: string): DockerProblem {
  return new DockerProblem(404, message);
}

export function conflict(message: string): DockerProblem {
  return new DockerProblem(409, message);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
