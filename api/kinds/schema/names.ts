// What names, labels and annotations may look like. Each answers the complaints; an empty list is a valid name.

/** RFC 1123 label: "web-1". */
export function dns1123Label(text: string): readonly string[] {
  throw new Error(`not done ${text}`);
}

/** RFC 1035 label (starts with a letter): Services. */
export function dns1035Label(text: string): readonly string[] {
  throw new Error(`not done ${text}`);
}

/** RFC 1123 subdomain: "web-1.example". */
export function dns1123Subdomain(text: string): readonly string[] {
  throw new Error(`not done ${text}`);
}

/** Keys of labels, annotations, taints: "example.com/name". */
export function qualifiedName(text: string): readonly string[] {
  throw new Error(`not done ${text}`);
}

export function labelValue(text: string): readonly string[] {
  throw new Error(`not done ${text}`);
}
