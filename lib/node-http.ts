// Node's http by another way than import, which reads all that a module exports: here that loads Node's web clients (fetch, WebSocket),
// 8 MB that neither server nor agent uses. Its types come with `import type … from "node:http"` as ever.

export const http = process.getBuiltinModule("node:http");
