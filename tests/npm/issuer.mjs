// An issuer of access tokens that verifies client secrets, and assertions by algorithm, signature, audience and time.
// Usage: node issuer.mjs SETTINGS.json; prints its port.
//
// The settings: `path` of the token endpoint, `scope` and `audience` of its tokens, `secret` and `certificate` of the
// clients, `key` that signs tokens (optional), and `clients`, each with `id`, `method`, `lifetime` in seconds,
// `ahead`, the error of the issuer's clock in seconds, and `claims` that replace those of its tokens.
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const settings = JSON.parse(readFileSync(process.argv[2]));
const certificate = new X509Certificate(settings.certificate);
const jwk = (key) => key.export({ format: "jwk" });
const client = ({ id, method }) => ({
  client_id: id,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: method,
  ...(method === "private_key_jwt"
    ? {
        token_endpoint_auth_signing_alg: "PS256",
        jwks: { keys: [{ ...jwk(certificate.publicKey), use: "sig", alg: "PS256" }] },
      }
    : { client_secret: settings.secret }),
});
const settingsOf = (id) => settings.clients.find((it) => it.id === id);

// The issuer's URL contains its port, so the socket comes first.
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: settings.clients.map(client),
    routes: { token: settings.path },
    scopes: [settings.scope],
    enabledJWA: { clientAuthSigningAlgValues: ["PS256"] },
    ...(settings.key && {
      jwks: { keys: [{ ...jwk(createPrivateKey(settings.key)), use: "sig", alg: "RS256", kid: "default" }] },
    }),
    formats: {
      customizers: {
        jwt(_context, { clientId }, token) {
          const { ahead = 0, claims = {} } = settingsOf(clientId);
          token.header = { typ: "JWT" };
          token.payload.iat += ahead;
          token.payload.nbf = token.payload.iat;
          token.payload.exp += ahead;
          Object.assign(token.payload, claims);
        },
      },
    },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => settings.audience,
        getResourceServerInfo: (_context, _resource, { clientId }) => ({
          scope: settings.scope,
          accessTokenTTL: settingsOf(clientId).lifetime,
          accessTokenFormat: "jwt",
        }),
      },
    },
  });
  server.on("request", provider.callback());
  console.log(port);
});
