// $(NAME) in command, args, env values and subPathExpr. Pure.
// Source: k8s.io/kubernetes/third_party/forked/golang/expansion: unknown names stay as they are, $$ is a dollar sign.

/** The kernel gives a program no argument and no variable that is longer (MAX_ARG_STRLEN, linux/binfmts.h). */
const wordCharsMax = 128 * 1024;

/**
 * Replaces $(NAME) by what `lookup` gives for it. Throws RangeError once the result is longer than any program can get it: variables that
 * name each other twice double with each.
 */
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
      if (out.length > wordCharsMax)
        throw new RangeError(
          `${JSON.stringify(text.slice(0, 40))} becomes longer than ${wordCharsMax} characters, the most that the kernel takes`,
        );
    } else {
      out += "$";
    }
  }
  return out;
}
