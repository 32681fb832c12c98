// How a command's end is told to the client, in Kubernetes' words.
// Source: Kubernetes, k8s.io/apimachinery/pkg/util/remotecommand and the kubelet's streaming server: NonZeroExitCode with an ExitCode cause.
import type { Exit } from "../../proto/generated/node_pb.ts";
import type { Status } from "../kinds/generated/types.ts";

/**
 * The Status that goes over the error channel. An attach succeeds however the container ends, since kubectl takes a failure for a
 * connection that broke, and prints the log after it; `naru attach` finds the exit code there all the same.
 */
export function exitStatus(
  subresource: "exec" | "attach",
  { exitCode, error }: Pick<Exit, "exitCode" | "error">,
): Status {
  if (error !== "") return internalError(error);
  if (exitCode === 0) return { metadata: {}, status: "Success" };
  const details = { causes: [{ reason: "ExitCode", message: String(exitCode) }] };
  if (subresource === "attach") return { metadata: {}, status: "Success", details };
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    reason: "NonZeroExitCode",
    details,
  };
}

export function internalError(message: string): Status {
  return {
    metadata: {},
    status: "Failure",
    message: `Internal error occurred: ${message}`,
    reason: "InternalError",
    details: { causes: [{ message }] },
    code: 500,
  };
}

/**
 * What the error channel carries: the Status from protocol version 4 on; before, nothing but a failure's text, whose exit code no client
 * reads.
 */
export function errorChannelText(status: Status, version: number): string | undefined {
  if (version >= 4) return JSON.stringify(status);
  return status.status === "Success" ? undefined : (status.message ?? "");
}
