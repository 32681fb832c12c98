// How grpc-js ends a call with a status: by the event.
import type { status } from "@grpc/grpc-js";

export function failCall(
  call: { emit(event: "error", error: object): boolean; on(event: "error", run: () => void): unknown },
  code: status,
  details: string,
): void {
  call.on("error", () => {});
  call.emit("error", Object.assign(new Error(details), { code, details }));
}
