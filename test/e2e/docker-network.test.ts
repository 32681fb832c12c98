// Networks of containers: names, ports, walls, and joining and leaving while a container runs.
import { deepEqual, equal, match } from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runProgram } from "./cluster.ts";
import { type DockerEngine, startDocker } from "./docker-engine.ts";

let engine: DockerEngine;
before(async () => {
  engine = await startDocker();
});
after(() => engine[Symbol.asyncDispose]());

const page = "mkdir -p /www; echo hello from $HOSTNAME > /www/index.html; exec httpd -f -h /www";
const fetch = (host: string, port: number | string) =>
  `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${host} ${port} | tail -n 1`;

test("containers of a user-defined network find each other by name, alias and id, others do not", async () => {
  await engine.ok(["network", "create", "inner"]);
  await engine.ok([
    "run",
    "-d",
    "--name",
    "web",
    "--hostname",
    "web",
    "--network",
    "inner",
    "--network-alias",
    "www",
    "busybox",
    "sh",
    "-c",
    page,
  ]);
  const id = (await engine.ok(["inspect", "-f", "{{.Id}}", "web"])).slice(0, 12);
  const ask = (network: string, name: string) =>
    engine
      .docker(["run", "--rm", "--network", network, "busybox", "sh", "-c", fetch(name, 80)])
      .then(({ stdout }) => stdout.trim());
  deepEqual(
    await Promise.all([
      ask("inner", "web"),
      ask("inner", "www"),
      ask("inner", id),
      ask("inner", "web.inner"),
      ask("bridge", "web"),
    ]),
    ["hello from web", "hello from web", "hello from web", "hello from web", ""],
  );
  const taken = await engine.docker(["network", "rm", "inner"]);
  match(taken.stderr, /has active endpoints \(name:"web"/);
});

test("published ports are reached from the machine, the node, other containers and the container itself", async () => {
  await engine.ok([
    "run",
    "-d",
    "--name",
    "door",
    "--hostname",
    "door",
    "-p",
    "18080:80",
    "-p",
    "127.0.0.1:18081:80",
    "busybox",
    "sh",
    "-c",
    page,
  ]);
  const address = engine.cluster.nodes[0]?.address ?? "";
  const inNode = ["netns-run", `${engine.cluster.place.runDir}/netns/node-1`, "--", "curl", "-s", "-m", "3"];
  const fromNode = async (url: string) =>
    (await runProgram(engine.cluster.place.launcherPath, [...inNode, url], {})).stdout.trim();
  const fromMachine = async (url: string) => (await runProgram("curl", ["-s", "-m", "1", url], {})).stdout.trim();
  const inside = async (...words: readonly string[]) =>
    (await engine.docker([...words, "sh", "-c", fetch(address, 18080)])).stdout.trim();
  // The program inside takes its time to listen.
  for (let tries = 0; (await fromNode("http://127.0.0.1:18080/")) === "" && tries < 100; tries++) await sleep(20);
  deepEqual(
    {
      machine: await fromMachine(`http://${address}:18080/`),
      node: await fromNode(`http://${address}:18080/`),
      loopback: await fromNode("http://127.0.0.1:18080/"),
      bound: await fromNode("http://127.0.0.1:18081/"),
      boundFromOutside: await fromMachine(`http://${address}:18081/`),
      localhost: await fromMachine("http://localhost:18080/"),
      boundOnLocalhost: await fromMachine("http://127.0.0.1:18081/"),
      neighbour: await inside("run", "--rm", "busybox"),
      otherNetwork: await inside("run", "--rm", "--network", "inner", "busybox"),
      itself: await inside("exec", "door"),
      shown: await engine.ok(["port", "door"]),
    },
    {
      machine: "hello from door",
      node: "hello from door",
      loopback: "hello from door",
      bound: "hello from door",
      boundFromOutside: "",
      localhost: "hello from door",
      boundOnLocalhost: "hello from door",
      neighbour: "hello from door",
      otherNetwork: "hello from door",
      itself: "hello from door",
      shown: "80/tcp -> 0.0.0.0:18080\n80/tcp -> 127.0.0.1:18081",
    },
  );
  const taken = await engine.docker(["run", "--rm", "-p", "18080:80", "busybox", "true"]);
  match(taken.stderr, /Bind for 0.0.0.0:18080 failed: port is already allocated/);
  await engine.ok(["rm", "-f", "door"]);
  equal(await fromMachine(`http://${address}:18080/`), "");
  for (let tries = 0; (await listens(18080)) && tries < 100; tries++) await sleep(20);
  equal(await listens(18080), false);
});

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port }, () => resolve(true));
    socket.on("error", () => resolve(false));
    socket.on("connect", () => socket.destroy());
  });
}

test("ports of UDP are published, of one address or all", async () => {
  const ports = ["-p", "18085:53/udp", "-p", "127.0.0.1:18086:53/udp", "-p", "18085:53/tcp"];
  await engine.ok(["run", "-d", "--name", "udp", ...ports, "busybox", "sleep", "1000"]);
  const shown = await engine.ok(["port", "udp"]);
  await engine.ok(["rm", "-f", "udp"]);
  equal(shown, "53/tcp -> 0.0.0.0:18085\n53/udp -> 0.0.0.0:18085\n53/udp -> 127.0.0.1:18086");
});

test("networks are walled off from each other and internal ones from the world", async () => {
  await engine.ok(["network", "create", "--internal", "closed"]);
  const ip = await engine.ok(["inspect", "-f", '{{(index .NetworkSettings.Networks "inner").IPAddress}}', "web"]);
  const reach = (network: string) =>
    engine
      .ok(["run", "--rm", "--network", network, "busybox", "sh", "-c", `${fetch(ip, 80)}; ip route | grep -c default`])
      .catch((error: Error) => /\n(\d)\n/.exec(error.message)?.[1] ?? "");
  deepEqual(await Promise.all([reach("inner"), reach("bridge"), reach("closed")]), ["hello from web\n1", "1", "0"]);
});

test("a running container joins a network and leaves it", async () => {
  await engine.ok(["run", "-d", "--name", "guest", "busybox", "sleep", "100"]);
  const ask = async () =>
    (await engine.docker(["exec", "guest", "sh", "-c", `${fetch("web", 80)}; ip -o link | grep -c eth`])).stdout.trim();
  const seen = [await ask()];
  await engine.ok(["network", "connect", "--alias", "visitor", "inner", "guest"]);
  seen.push(await ask(), await engine.ok(["inspect", "-f", "{{len .NetworkSettings.Networks}}", "guest"]));
  await engine.ok(["network", "disconnect", "inner", "guest"]);
  seen.push(await ask());
  await engine.ok(["rm", "-f", "guest"]);
  deepEqual(seen, ["1", "hello from web\n2", "2", "1"]);
});

test("addresses, ranges and names of networks are what was asked for, and refused when they cannot be", async () => {
  await engine.ok([
    "network",
    "create",
    "--subnet",
    "10.77.0.0/24",
    "--gateway",
    "10.77.0.9",
    "--label",
    "kind=own",
    "ranged",
  ]);
  const shown = await engine.ok([
    "run",
    "--rm",
    "--network",
    "ranged",
    "--ip",
    "10.77.0.50",
    "--mac-address",
    "02:11:22:33:44:55",
    "busybox",
    "sh",
    "-c",
    "ip addr show eth0 | grep -oE '10.77[0-9./]+|02:11:[0-9a-f:]+'; ip route | head -n 1",
  ]);
  const refused = await Promise.all(
    [
      ["network", "create", "--subnet", "10.77.0.128/25", "overlapping"],
      ["network", "create", "-d", "overlay", "wide"],
      ["network", "create", "--subnet", "fd00:5::/64", "six"],
      ["network", "create", "bridge"],
      ["network", "rm", "bridge"],
      ["run", "--rm", "--ip", "10.1.1.1", "--network", "ranged", "busybox"],
      ["run", "--rm", "--network", "absent", "busybox"],
    ].map(async (args) => (await engine.docker(args)).code),
  );
  deepEqual(
    {
      shown,
      refused,
      listed: await engine.ok(["network", "ls", "-q", "--filter", "label=kind=own", "--format", "{{.Name}}"]),
    },
    {
      shown: "02:11:22:33:44:55\n10.77.0.50/24\ndefault via 10.77.0.9 dev eth0 ",
      refused: [1, 1, 1, 1, 1, 125, 125],
      listed: "ranged",
    },
  );
});

test("a network with IPv6 gives its containers addresses, names, ports and a way out in both families", async () => {
  const range = `fd00:${(process.pid % 65_000).toString(16)}::`;
  await engine.ok(["network", "create", "--ipv6", "--subnet", `${range}/64`, "six"]);
  const serve = "mkdir /www; echo hello from six > /www/index.html; httpd -f -p [::]:80 -h /www";
  await engine.ok([
    ...["run", "-d", "--name", "v6", "--network", "six", "--ip6", `${range}66`, "-p", "18085:80"],
    ...["busybox", "sh", "-c", serve],
  ]);
  const ask = async (...words: readonly string[]) => (await engine.docker(words)).stdout.trim();
  const guest = ["run", "--rm", "--network", "six", "busybox", "sh", "-c"];
  const fromNode = async (url: string) => {
    const inNode = ["netns-run", `${engine.cluster.place.runDir}/netns/node-1`, "--", "curl", "-g", "-s", "-m", "3"];
    return (await runProgram(engine.cluster.place.launcherPath, [...inNode, url], {})).stdout.trim();
  };
  deepEqual(
    {
      own: await ask("inspect", "-f", "{{.NetworkSettings.Networks.six.GlobalIPv6Address}}", "v6"),
      shown: await ask("network", "inspect", "-f", "{{.EnableIPv6}} {{(index .IPAM.Config 1).Gateway}}", "six"),
      looked: /66/.test(await ask(...guest, "nslookup -type=aaaa v6")),
      neighbour: await ask(...guest, `ping -c 1 -W 3 ${range}66 > /dev/null && echo reached`),
      route: await ask(...guest, "ip -6 route | grep -c ^default"),
      node: await fromNode(`http://[${range}66]/`),
      published: await fromNode(`http://[${range}1]:18085/`),
      everywhere: await fromNode("http://127.0.0.1:18085/"),
      // Older commands write an address of all zeros without brackets.
      ports: (await ask("port", "v6")).replace(":::", "[::]:"),
    },
    {
      own: `${range}66`,
      shown: `true ${range}1`,
      looked: true,
      neighbour: "reached",
      route: "1",
      node: "hello from six",
      published: "hello from six",
      everywhere: "hello from six",
      ports: "80/tcp -> 0.0.0.0:18085\n80/tcp -> [::]:18085",
    },
  );
  const refused = await engine.docker(["run", "--rm", "--network", "inner", "--ip6", "fd00::9", "busybox", "true"]);
  match(refused.stderr, /network inner has no IPv6/);
  await engine.ok(["rm", "-f", "v6"]);
  await engine.ok(["network", "rm", "six"]);
});

test("links name others on the default network and on one's own, and tell of their ports", async () => {
  await engine.ok(["run", "-d", "--name", "db", "--expose", "5432", "busybox", "sleep", "100"]);
  const told = await engine.ok([
    ...["run", "--rm", "--name", "app", "--link", "db:store", "busybox", "sh", "-c"],
    "ping -c 1 -W 2 store > /dev/null && echo reached; env | grep STORE_ | sort | sed s/=.*:/=/",
  ]);
  const own = await engine.ok([
    ...["run", "--rm", "--network", "inner", "--link", "web:front", "busybox", "sh", "-c", fetch("front", 80)],
  ]);
  const absent = await engine.docker(["run", "--rm", "--link", "nobody:x", "busybox", "true"]);
  await engine.ok(["stop", "-t", "0", "db"]);
  const stopped = await engine.docker(["run", "--rm", "--link", "db:store", "busybox", "true"]);
  await engine.ok(["rm", "-f", "db"]);
  const ip = /STORE_PORT_5432_TCP_ADDR=(.*)/.exec(told)?.[1];
  deepEqual(
    [told.split("\n").filter((line) => line !== `STORE_PORT_5432_TCP_ADDR=${ip}`), own],
    [
      [
        "reached",
        "STORE_NAME=/app/store",
        "STORE_PORT=5432",
        "STORE_PORT_5432_TCP=5432",
        "STORE_PORT_5432_TCP_PORT=5432",
        "STORE_PORT_5432_TCP_PROTO=tcp",
      ],
      "hello from web",
    ],
  );
  match(absent.stderr, /No such container: nobody/);
  match(stopped.stderr, /Cannot link to a non running container: \/db AS/);
});

test("host, none and another container's network", async () => {
  const links = (mode: string) =>
    engine.ok(["run", "--rm", "--network", mode, "busybox", "sh", "-c", "ip -o link | wc -l"]);
  const shared = await engine.ok([
    "run",
    "--rm",
    "--network",
    "container:web",
    "busybox",
    "sh",
    "-c",
    fetch("127.0.0.1", 80),
  ]);
  deepEqual([await links("none"), Number(await links("host")) > 2, shared], ["1", true, "hello from web"]);
});

test("prune takes what nobody uses", async () => {
  const pruned = await engine.ok(["network", "prune", "-f"]);
  deepEqual(
    pruned
      .split("\n")
      .filter((line) => /^\w+$/.test(line))
      .toSorted(),
    ["closed", "ranged"],
  );
  await engine.ok(["rm", "-f", "web"]);
  await engine.ok(["network", "rm", "inner"]);
  equal(await engine.ok(["network", "ls", "--format", "{{.Name}}"]), "bridge\nhost\nnone");
});
