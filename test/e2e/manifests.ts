// YAML that tests declare, in a user's words.

export interface WebOptions {
  readonly name?: string;
  readonly replicas: number;
  readonly text?: string;
  readonly nodePort?: number;
  readonly image?: string;
}

/** A Deployment that answers `text` and its pod's name, and its Service. A pod that is to end serves on until nobody asks it. */
export function web({ name = "web", replicas, text = "one", nodePort = 30090, image }: WebOptions): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata: { name: ${name} }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: ${name} } }
  strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 2 } }
  template:
    metadata: { labels: { app: ${name} } }
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: web
          image: ${image ?? "naru.local/probe:1"}
          args: [serve, "8080", ${text}]
          ports: [{ containerPort: 8080 }]
          lifecycle: { preStop: { exec: { command: [/probe, sleep, "1"] } } }
          readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: ${name} }
spec:
  type: NodePort
  selector: { app: ${name} }
  ports: [{ port: 80, targetPort: 8080, nodePort: ${nodePort} }]
`;
}

export interface PodOptions {
  readonly name: string;
  readonly args: readonly string[];
  readonly image?: string;
  /** Further fields of the pod's spec and of its container, as JSON, which is YAML. */
  readonly spec?: object;
  readonly container?: object;
}

export function pod({ name, args, image = "naru.local/probe:1", spec = {}, container = {} }: PodOptions): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "main", image, args, ...container }],
      ...spec,
    },
  });
}
