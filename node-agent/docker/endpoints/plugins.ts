// Docker's plugins: none is there, and none can be brought.
import { DockerProblem, notFound } from "../http/problem.ts";
import { json, type Route } from "../http/reply.ts";

const ofOne = [
  ...["GET /plugins/{name}/json", "DELETE /plugins/{name}", "POST /plugins/{name}/enable"],
  ...["POST /plugins/{name}/disable", "POST /plugins/{name}/upgrade", "POST /plugins/{name}/push"],
  "POST /plugins/{name}/set",
];

export function pluginRoutes(): readonly Route[] {
  return [
    [
      "GET /plugins",
      async ({ query }) => {
        query.filters(["capability", "enabled"]);
        return json([]);
      },
    ],
    ...["GET /plugins/privileges", "POST /plugins/pull", "POST /plugins/create"].map(
      (pattern): Route => [
        pattern,
        async () => {
          throw new DockerProblem(
            500,
            "plugins are not supported by Naru: volumes are local or bind mounts, networks are bridges, logs are json-file",
          );
        },
      ],
    ),
    ...ofOne.map(
      (pattern): Route => [
        pattern,
        async ({ params }) => {
          throw notFound(`plugin "${params["name"]}" not found`);
        },
      ],
    ),
  ];
}
