// Variables that tell a container of the services that were there at its start (enableServiceLinks). Pure.
// Source: Kubernetes, "Service", environment variables (the forms that Docker's links had).
import type { Service } from "../../api/kinds/generated/types.ts";

/** Services of the pod's namespace, and always the API's own. */
export function serviceEnv(
  services: readonly Service[],
  namespace: string,
  enableServiceLinks: boolean,
): ReadonlyMap<string, string> {
  const env = new Map<string, string>();
  const chosen = services.filter((service) => {
    const { name, namespace: of } = service.metadata ?? {};
    return (of === "default" && name === "kubernetes") || (enableServiceLinks && of === namespace);
  });
  // The pod's own namespace wins over default's service of the same name.
  chosen.sort((a, b) => order(a) - order(b) || ((a.metadata?.name ?? "") < (b.metadata?.name ?? "") ? -1 : 1));
  for (const service of chosen) addService(env, service);
  return env;

  function order(service: Service): number {
    return service.metadata?.namespace === namespace ? 1 : 0;
  }
}

function addService(env: Map<string, string>, service: Service): void {
  const ip = service.spec?.clusterIP;
  const ports = service.spec?.ports ?? [];
  const first = ports[0];
  if (ip === undefined || ip === "" || ip === "None" || first === undefined) return;
  const host = ip.includes(":") ? `[${ip}]` : ip;
  const prefix = variable(service.metadata?.name ?? "");
  env.set(`${prefix}_SERVICE_HOST`, ip);
  env.set(`${prefix}_SERVICE_PORT`, String(first.port));
  for (const port of ports) {
    if (port.name !== undefined && port.name !== "") {
      env.set(`${prefix}_SERVICE_PORT_${variable(port.name)}`, String(port.port));
    }
  }
  const protocolOf = (port: (typeof ports)[number]) => (port.protocol ?? "TCP").toLowerCase();
  env.set(`${prefix}_PORT`, `${protocolOf(first)}://${host}:${first.port}`);
  for (const port of ports) {
    const protocol = protocolOf(port);
    const name = `${prefix}_PORT_${port.port}_${protocol.toUpperCase()}`;
    env.set(name, `${protocol}://${host}:${port.port}`);
    env.set(`${name}_PROTO`, protocol);
    env.set(`${name}_PORT`, String(port.port));
    env.set(`${name}_ADDR`, ip);
  }
}

function variable(name: string): string {
  return name.toUpperCase().replaceAll("-", "_").replaceAll(".", "_");
}
