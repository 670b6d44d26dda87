// Microsoft Graph's entitlement management, served by an OData server from Microsoft's own metadata.
// Usage: node graph.mjs METADATA.xml FOLDER; prints its port, and then each request. FOLDER has the rows of
// each entity set, as `accessPackages.json`, and the answer about the tenant, `organization.json`.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const FEMockserver = createRequire(import.meta.url)("@sap-ux/fe-mockserver-core").default;
const [, , metadataPath, folder] = process.argv;
const ROOT = "/v1.0/identityGovernance/entitlementManagement";
const PAGE = 100;
const SETS = "catalogs|accessPackages|assignmentPolicies|assignmentRequests|assignments|connectedOrganizations";

const metadata = readFileSync(metadataPath, "utf8");
const names = new Set([...metadata.matchAll(/<(?:Navigation)?Property Name="(\w+)"/g)].map((it) => it[1]));
const services = [{ urlPath: ROOT, metadataPath, mockdataPath: folder, generateMockData: false, watch: false }];
const mockserver = new FEMockserver({ services });
await mockserver.isReady;
const router = mockserver.getRouter();

const answer = (response, status, body) => {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
};
const refuse = (response, status, code, message) => answer(response, status, { error: { code, message } });

// The OData server ignores names that it does not know; Graph refuses them.
const unknown = (query) => {
  const lists = ["$select", "$expand"].map((it) => query.get(it) ?? "").join(",");
  return lists.match(/\$?\w+/g)?.find((it) => !it.startsWith("$") && !names.has(it));
};

// Collections come in pages, as at Graph.
const paged = (request, response, url) => {
  const skip = Number(url.searchParams.get("$skip") ?? 0);
  url.searchParams.set("$top", PAGE);
  url.searchParams.set("$skip", skip);
  request.url = url.pathname + url.search;
  const end = response.end.bind(response);
  const parts = [];
  response.write = (part) => parts.push(Buffer.from(part));
  response.end = (part) => {
    if (part) parts.push(Buffer.from(part));
    let text = Buffer.concat(parts).toString();
    const body = response.statusCode === 200 ? JSON.parse(text) : {};
    if (body["@odata.count"] > skip + PAGE) {
      url.searchParams.delete("$top");
      url.searchParams.set("$skip", skip + PAGE);
      text = JSON.stringify({ ...body, "@odata.nextLink": url.href });
    }
    response.removeHeader("content-length");
    response.removeHeader("etag");
    end(text);
  };
};

const server = createServer((request, response) => {
  const url = new URL(request.url, `http://127.0.0.1:${server.address().port}`);
  console.log(`${request.method} ${decodeURIComponent(url.pathname + url.search)}`);
  if (request.method === "POST" && url.pathname.endsWith("/oauth2/v2.0/token")) {
    return answer(response, 200, { token_type: "Bearer", expires_in: 3599, access_token: "t0ken" });
  }
  if (request.method !== "GET") return refuse(response, 405, "MethodNotAllowed", "only GET is served");
  if (request.headers.authorization !== "Bearer t0ken") {
    return refuse(response, 401, "InvalidAuthenticationToken", "the token is another one");
  }
  if (url.pathname === "/v1.0/organization") {
    return answer(response, 200, JSON.parse(readFileSync(`${folder}/organization.json`)));
  }
  if (!url.pathname.startsWith(`${ROOT}/`)) {
    return refuse(response, 403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.");
  }
  const wrong = unknown(url.searchParams);
  if (wrong) return refuse(response, 400, "BadRequest", `Could not find a property named '${wrong}'`);
  const [, set, id] = url.pathname.match(`/(${SETS})(?:/([0-9a-f-]{36}))?$`) ?? [];
  if (!set) return refuse(response, 404, "ResourceNotFound", "no such entity set");
  if (id) request.url = `${ROOT}/${set}('${id}')${url.search}`;
  else paged(request, response, url);
  return router(request, response, () => refuse(response, 404, "ResourceNotFound", "not found"));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
