// An issuer that judges client secrets, and assertions by algorithm, signature, audience and time.
// Usage: node provider.mjs CERTIFICATE.pem SECRET; prints its port.
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import Provider from "oidc-provider";

const [, , pem, secret] = process.argv;
const key = new X509Certificate(readFileSync(pem)).publicKey.export({ format: "jwk" });
const client = (id, method, more) => ({
  client_id: id,
  grant_types: ["client_credentials"],
  redirect_uris: [],
  response_types: [],
  token_endpoint_auth_method: method,
  ...more,
});

// The issuer's URL contains its port, so the socket comes first.
const server = createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      client("post", "client_secret_post", { client_secret: secret }),
      client("basic", "client_secret_basic", { client_secret: secret }),
      client("certificate", "private_key_jwt", {
        token_endpoint_auth_signing_alg: "PS256",
        jwks: { keys: [{ ...key, use: "sig", alg: "PS256" }] },
      }),
    ],
    scopes: ["api/.default"],
    enabledJWA: { clientAuthSigningAlgValues: ["PS256"] },
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => "https://graph.example",
        getResourceServerInfo: () => ({
          scope: "api/.default",
          accessTokenTTL: 5,
          accessTokenFormat: "jwt",
        }),
      },
    },
  });
  server.on("request", provider.callback());
  console.log(port);
});
