// What registries are asked without anything coming or going: search, what a name stands for, whether they take a login.
import { PushError } from "../../images/library.ts";
import type { Door } from "../door.ts";
import { badRequest, DockerProblem, messageOf } from "../http/problem.ts";
import { anyOf, type Query } from "../http/query.ts";
import { json, type Route, readJson } from "../http/reply.ts";
import { credentialsOf, parseAuthHeader } from "../images/credentials.ts";
import { asking } from "../images/image-problem.ts";
import { splitSearchTerm } from "../images/names.ts";

const searchLimit = { default: 25, max: 100 } as const;
const searchFilters = ["is-automated", "is-official", "stars"];
const isTrue = (text: string) => ["1", "true"].includes(text.toLowerCase());

export function registryRoutes({ parts }: Door): readonly Route[] {
  const { images } = parts;
  return [
    [
      "GET /images/search",
      async ({ query, headers, signal }) => {
        const { registry, term } = splitSearchTerm(query.text("term"));
        const filters = query.filters(searchFilters);
        const limit = searchLimitOf(query);
        const [credentials] = parseAuthHeader(headers["x-registry-auth"]);
        const found = await asking(
          images.search(term, { registry, limit, signal, ...(credentials === undefined ? {} : { credentials }) }),
        );
        const fitting = found.filter(
          ({ isOfficial, stars }) =>
            anyOf(filters, "is-official", (value) => isTrue(value) === isOfficial) &&
            anyOf(filters, "is-automated", (value) => !isTrue(value)) &&
            (filters.get("stars") ?? []).every((value) => stars >= Number(value)),
        );
        return json(
          fitting.map(({ name, description, stars, isOfficial }) => ({
            name: registry === "" ? name : `${registry}/${name}`,
            description,
            star_count: stars,
            is_official: isOfficial,
            is_automated: false,
          })),
        );
      },
    ],
    [
      "GET /distribution/{name}/json",
      async ({ params, headers, signal }) => {
        const credentials = parseAuthHeader(headers["x-registry-auth"]);
        const { mediaType, digest, sizeBytes, platforms } = await asking(
          images.lookUp(params["name"] ?? "", { credentials, signal }),
        );
        return json({ Descriptor: { mediaType, digest, size: sizeBytes }, Platforms: platforms });
      },
    ],
    [
      "POST /auth",
      async (call) => {
        const body = await readJson(call);
        const [credentials] = credentialsOf(body);
        if (credentials === undefined) throw badRequest("no user name is given");
        await images.login(body.text("serveraddress"), credentials, call.signal).catch((error: unknown) => {
          const isDenied = error instanceof PushError && error.failure === "Denied";
          throw new DockerProblem(isDenied ? 401 : 500, messageOf(error), { cause: error });
        });
        return json({ Status: "Login Succeeded", IdentityToken: "" });
      },
    ],
  ];
}

function searchLimitOf(query: Query): number {
  const limit = query.number("limit") ?? 0;
  if (!Number.isInteger(limit) || limit < 0 || limit > searchLimit.max)
    throw badRequest(`limit ${limit} is outside the range of [1, ${searchLimit.max}]`);
  return limit === 0 ? searchLimit.default : limit;
}
