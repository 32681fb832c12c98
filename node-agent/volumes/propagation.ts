// Whether a place of the node can share what is mounted in it later: its mount must be shared itself. Pure.
// Source: Documentation/filesystems/sharedsubtree.rst; proc_pid_mountinfo(5), optional fields.

/** Why not, in words; undefined when it can. */
export function propagationProblem(
  mountinfo: string,
  path: string,
  propagation: "rshared" | "rslave",
): string | undefined {
  let best: { readonly point: string; readonly shared: boolean; readonly slave: boolean } | undefined;
  for (const line of mountinfo.split("\n")) {
    const [before = ""] = line.split(" - ", 1);
    const [, , , , escaped, , ...optional] = before.split(" ");
    if (escaped === undefined) continue;
    const point = unescaped(escaped);
    // The one mounted last hides those before it.
    if (!isAtOrBelow(path, point) || point.length < (best?.point.length ?? 0)) continue;
    const has = (tag: string) => optional.some((field) => field.startsWith(`${tag}:`));
    best = { point, shared: has("shared"), slave: has("master") };
  }
  const { point = "/", shared = false, slave = false } = best ?? {};
  if (shared || (propagation === "rslave" && slave)) return undefined;
  const wanted = propagation === "rslave" ? "a shared or slave" : "a shared";
  return `path ${JSON.stringify(path)} is mounted on ${JSON.stringify(point)} but it is not ${wanted} mount: mount --make-rshared ${point} makes it one`;
}

/** Mount points of mountinfo write blanks and backslashes as octal numbers. */
export function unescaped(text: string): string {
  return text.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

export function escaped(path: string): string {
  return path.replace(/[ \t\n\\]/g, (blank) => `\\${blank.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

function isAtOrBelow(path: string, point: string): boolean {
  return point === "/" || path === point || path.startsWith(`${point}/`);
}
