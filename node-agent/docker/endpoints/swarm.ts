// Swarm mode: answered as by an engine that is part of no swarm. A cluster is what Naru itself makes.
import { DockerProblem } from "../http/problem.ts";
import type { Route } from "../http/reply.ts";

/** What only a manager of a swarm answers. */
const ofManagers = [
  ...["GET /swarm", "POST /swarm/update", "GET /swarm/unlockkey"],
  ...["GET /nodes", "GET /nodes/{id}", "DELETE /nodes/{id}", "POST /nodes/{id}/update"],
  ...["GET /services", "POST /services/create", "GET /services/{id}", "DELETE /services/{id}"],
  ...["POST /services/{id}/update", "GET /services/{id}/logs"],
  ...["GET /tasks", "GET /tasks/{id}", "GET /tasks/{id}/logs"],
  ...["GET /secrets", "POST /secrets/create", "GET /secrets/{id}", "DELETE /secrets/{id}", "POST /secrets/{id}/update"],
  ...["GET /configs", "POST /configs/create", "GET /configs/{id}", "DELETE /configs/{id}", "POST /configs/{id}/update"],
];

const way = "Naru has no swarm mode: 'naru apply' and 'naru compose up' run services on a cluster";

export function swarmRoutes(): readonly Route[] {
  return [
    ...ofManagers.map((pattern) => refusal(pattern, `This node is not a swarm manager. ${way}`)),
    refusal("POST /swarm/init", `${way}; 'naru up' makes one`),
    refusal("POST /swarm/join", `${way}; 'naru agent --join' makes a machine a node of one`),
    refusal("POST /swarm/leave", "This node is not part of a swarm"),
    refusal("POST /swarm/unlock", "This node is not part of a swarm"),
  ];
}

/** 503 is what Docker answers outside of a swarm. */
function refusal(pattern: string, words: string): Route {
  return [
    pattern,
    async () => {
      throw new DockerProblem(503, words);
    },
  ];
}
