// $(NAME) in command, args, env values and subPathExpr. Pure.
// Source: k8s.io/kubernetes/third_party/forked/golang/expansion: unknown names stay as they are, $$ is a dollar sign.

/** Replaces $(NAME) by what `lookup` gives for it. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  if (!text.includes("$")) return text;
  let out = "";
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== "$" || at + 1 >= text.length) {
      out += text[at];
    } else if (text[at + 1] === "$") {
      out += "$";
      at++;
    } else if (text[at + 1] === "(") {
      const end = text.indexOf(")", at + 2);
      if (end < 0) return `${out}${text.slice(at)}`;
      const name = text.slice(at + 2, end);
      out += lookup(name) ?? `$(${name})`;
      at = end;
    } else {
      out += "$";
    }
  }
  return out;
}
