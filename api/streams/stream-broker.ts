// Upgraded connections of exec, attach and port-forward: agrees on a protocol, opens the node's stream, answers, and joins the two.
import { create } from "@bufbuild/protobuf";
import { createWebSocketStream } from "ws";
import { type Clock, realClock } from "../../lib/clock.ts";
import type { Logger } from "../../lib/log.ts";
import { AttachRequestSchema, ExecRequestSchema } from "../../proto/generated/node_pb.ts";
import type { NodeRequest, NodeStreams, StreamBroker, StreamUpgrade } from "../http/stream-broker.ts";
import { ApiError } from "../kinds/status.ts";
import { portForwardProtocol, servePortForwardSpdy } from "./port-forward-spdy.ts";
import { portForwardChannelProtocols, servePortForwardChannels } from "./port-forward-websocket.ts";
import { joinRemoteCommand } from "./remote-command.ts";
import { acceptRemoteSpdy, agreeOnRemoteSpdy } from "./remote-spdy.ts";
import { acceptRemoteWebSocket, agreeOnRemoteWebSocket } from "./remote-websocket.ts";
import { listOf, refuseUpgrade, switchProtocols } from "./upgrade-answer.ts";
import { acceptWebSocket, agreeOnProtocol } from "./websocket.ts";

export interface StreamBrokerOptions {
  readonly streams: NodeStreams;
  readonly log: Logger;
  readonly clock?: Clock;
}

/** A WebSocket whose messages carry a SPDY connection. */
const tunnelProtocol = `SPDY/3.1+${portForwardProtocol}`;
const portsMax = 100;

export function openStreamBroker({ streams, log, clock = realClock }: StreamBrokerOptions): StreamBroker {
  return {
    open: streams.open.bind(streams),
    upgrade: async (upgrade) => {
      const { socket, subresource, node, pod } = upgrade;
      socket.on("error", () => {}); // whoever reads or writes it hears of it
      try {
        if (subresource === "portforward") await portForward(upgrade, streams, clock);
        else await remoteCommand(upgrade, streams);
      } catch (error) {
        log.debug({ subresource, node, pod: pod.metadata?.name, error: String(error) }, "stream ended early");
        if (!socket.writableEnded) socket.destroy();
      }
    },
  };
}

async function remoteCommand(upgrade: StreamUpgrade, streams: NodeStreams): Promise<void> {
  const { socket } = upgrade;
  const gone = goneSignal(upgrade);
  const kind = kindOf(upgrade);
  let accept: () => ReturnType<typeof acceptRemoteSpdy>;
  let stream: Awaited<ReturnType<NodeStreams["open"]>>;
  try {
    const protocol = kind === "websocket" ? agreeOnRemoteWebSocket(upgrade) : agreeOnRemoteSpdy(upgrade);
    accept = () =>
      kind === "websocket" ? acceptRemoteWebSocket(upgrade, protocol) : acceptRemoteSpdy(upgrade, protocol);
    // Before the answer, so that a node that cannot be reached is an ordinary error.
    stream = await streams.open(upgrade.node, requestOf(upgrade), gone);
  } catch (error) {
    refuseUpgrade(socket, error);
    return;
  }
  await using _ = stream;
  await joinRemoteCommand(upgrade.subresource === "attach" ? "attach" : "exec", await accept(), stream);
}

async function portForward(upgrade: StreamUpgrade, streams: NodeStreams, clock: Clock): Promise<void> {
  const { request, socket, head, node, pod, signal } = upgrade;
  const { name: podName = "", uid: podUid = "" } = pod.metadata ?? {};
  const target = { streams, node, podName, podUid };
  if (kindOf(upgrade) === "spdy") {
    const offered = listOf(request.headers["x-stream-protocol-version"]);
    if (offered.length > 0 && !offered.includes(portForwardProtocol)) {
      refuseUpgrade(
        socket,
        new ApiError("Forbidden", `only the stream protocol ${portForwardProtocol} is spoken here`),
      );
      return;
    }
    switchProtocols(socket, { Upgrade: "SPDY/3.1", "X-Stream-Protocol-Version": portForwardProtocol });
    if (head.length > 0) socket.unshift(head);
    await servePortForwardSpdy(socket, target, { clock, signal });
    return;
  }
  const protocol = agreeOnProtocol(request, [tunnelProtocol, ...portForwardChannelProtocols]);
  if (protocol === tunnelProtocol) {
    const tunnel = createWebSocketStream(await acceptWebSocket(upgrade, protocol));
    tunnel.on("error", () => {});
    await servePortForwardSpdy(tunnel, target, { clock, signal });
    return;
  }
  const ports = upgrade.query.getAll("ports").flatMap((text) => text.split(",").map(Number));
  if (protocol === undefined || protocol === "") {
    refuseUpgrade(
      socket,
      new ApiError("BadRequest", `the WebSocket protocol must be ${tunnelProtocol} or a channel protocol`),
    );
  } else if (
    ports.length === 0 ||
    ports.length > portsMax ||
    !ports.every((port) => Number.isInteger(port) && port > 0 && port < 65_536)
  ) {
    refuseUpgrade(socket, new ApiError("BadRequest", "the query must name the ports: ports=80&ports=443"));
  } else {
    await servePortForwardChannels(await acceptWebSocket(upgrade, protocol), target, ports, protocol);
  }
}

function kindOf({ request }: StreamUpgrade): "websocket" | "spdy" {
  return (request.headers.upgrade ?? "").toLowerCase() === "websocket" ? "websocket" : "spdy";
}

/** Aborted when the client hangs up before it is answered, or the server closes. */
function goneSignal({ socket, signal }: StreamUpgrade): AbortSignal {
  const gone = new AbortController();
  socket.once("close", () => gone.abort(new Error("the client is gone")));
  return AbortSignal.any([gone.signal, signal]);
}

function requestOf({ subresource, pod, container, query }: StreamUpgrade): NodeRequest {
  const wants = (name: string) => ["true", "1"].includes(query.get(name) ?? "");
  const tty = wants("tty");
  const shared = {
    podUid: pod.metadata?.uid ?? "",
    container,
    stdin: wants("stdin"),
    stdout: wants("stdout"),
    // A terminal has one output.
    stderr: wants("stderr") && !tty,
    tty,
  };
  if (!shared.stdin && !shared.stdout && !shared.stderr) {
    throw new ApiError("BadRequest", "you must specify at least 1 of stdin, stdout, stderr");
  }
  return subresource === "attach"
    ? { case: "attach", value: create(AttachRequestSchema, shared) }
    : { case: "exec", value: create(ExecRequestSchema, { ...shared, command: query.getAll("command") }) };
}
