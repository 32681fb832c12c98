// Who runs in a container: the USER of an image looked up in the image's own passwd and group, by runc's rules
// (github.com/moby/sys/user, GetExecUser).

export interface ResolvedUser {
  readonly uid: number;
  readonly gid: number;
  readonly additionalGids: readonly number[];
}

const idMax = 2 ** 31 - 1;

/** `user` as in an image's config: "", "1000", "1000:1000", "www-data", "www-data:www-data". Throws with the part not found. */
export function resolveUser(user: string, files: { readonly passwd: string; readonly group: string }): ResolvedUser {
  const [userPart = "", groupPart = ""] = user.split(":", 2);
  const userId = parseId(userPart);
  const entry = parseLines(files.passwd).find(([name, , uid]) =>
    userPart === "" ? uid === "0" : userId === undefined ? name === userPart : Number(uid) === userId,
  );
  if (entry === undefined && userPart !== "" && userId === undefined) {
    throw new Error(`user ${JSON.stringify(userPart)} is not in the image's /etc/passwd`);
  }
  const uid = checkRange(entry === undefined ? (userId ?? 0) : Number(entry[2]), user);
  const groups = parseLines(files.group);
  if (groupPart !== "") return { uid, gid: findGroup(groups, groupPart, user), additionalGids: [] };
  const gid = checkRange(entry === undefined ? 0 : Number(entry[3]), user);
  const name = entry?.[0];
  const additionalGids =
    name === undefined
      ? []
      : groups
          .filter((group) => group[3]?.split(",").includes(name))
          .map((group) => checkRange(Number(group[2]), user));
  return { uid, gid, additionalGids };
}

/** Where a user's files are: passwd says it; without an entry root has /root and everybody else /. */
export function homeOf(user: string, passwd: string): string {
  const [userPart = ""] = user.split(":", 1);
  const wanted = userPart === "" ? "0" : userPart;
  const entry = parseLines(passwd).find(([name, , uid]) => name === userPart || uid === wanted);
  return entry?.[5] || (wanted === "0" || wanted === "root" ? "/root" : "/");
}

function findGroup(groups: readonly (readonly string[])[], wanted: string, user: string): number {
  const id = parseId(wanted);
  const entry = groups.find(([name, , gid]) => (id === undefined ? name === wanted : Number(gid) === id));
  if (entry === undefined && id === undefined)
    throw new Error(`group ${JSON.stringify(wanted)} is not in the image's /etc/group`);
  return checkRange(entry === undefined ? (id ?? 0) : Number(entry[2]), user);
}

// Entries of passwd and group both have a number in their third field.
function parseLines(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .map((line) => line.trim().split(":"))
    .filter((fields) => fields.length >= 3 && /^\d+$/.test(fields[2] ?? ""));
}

function parseId(text: string): number | undefined {
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

function checkRange(id: number, user: string): number {
  if (!Number.isInteger(id) || id < 0 || id > idMax)
    throw new Error(`user ${JSON.stringify(user)}: an id must be from 0 to ${idMax}`);
  return id;
}
