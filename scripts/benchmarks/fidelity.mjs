// The checks of Google's clients for Node, as they come from npm, on an embedded cloud: one line of JSON for each.
// Run by scripts/benchmarks/fidelity.py in the folder that holds node_modules; the environment names the cloud.
import crypto from "node:crypto";
import dns from "node:dns";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

const { FIDELITY_GRPC, FIDELITY_HTTP, FIDELITY_WORK, GOOGLE_CLOUD_PROJECT } = process.env;
const load = createRequire(path.join(process.cwd(), "package.json"));
const grpc = createRequire(load.resolve("google-gax"))("@grpc/grpc-js");
const { SecretManagerServiceClient } = load("@google-cloud/secret-manager");
const { Storage } = load("@google-cloud/storage");
const { google } = load("googleapis");
const { ExternalAccountClient, GoogleAuth, Impersonated, JWT, OAuth2Client } = load("google-auth-library");

const project = GOOGLE_CLOUD_PROJECT;
const [host, port] = [FIDELITY_HTTP.split("/")[2].split(":")[0], Number(FIDELITY_HTTP.split(":")[2])];
const SCOPE = "https://www.googleapis.com/auth/cloud-platform";
const lookUp = dns.lookup;
dns.lookup = (name, ...rest) => {
  if (!["127.0.0.1", "localhost"].includes(name)) {
    return rest.at(-1)(new Error(`asks for ${name}, which is not the embedded cloud`));
  }
  return lookUp(name, ...rest);
};

function equal(got, wanted) {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    throw new Error(`${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`);
  }
}

async function refused(codes, call) {
  try {
    await call();
  } catch (error) {
    equal(codes.includes(error.code ?? error.status), true);
    return;
  }
  throw new Error("it was not refused");
}

async function check(name, action) {
  try {
    await action();
    console.log(JSON.stringify({ name, passed: true, reason: "" }));
  } catch (error) {
    const reason = String(error.message ?? error).split("\n")[0].slice(0, 160);
    console.log(JSON.stringify({ name, passed: false, reason }));
  }
}

async function secrets(kind, client) {
  const parent = `projects/${project}`;
  const id = `node-${kind}`;
  let secret;
  let version;
  const named = (what) => `secret-manager ${kind}: ${what}`;
  await check(named("create a secret"), async () => {
    [secret] = await client.createSecret({ parent, secretId: id, secret: { replication: { automatic: {} } } });
    equal(secret.name.endsWith(`/secrets/${id}`), true);
  });
  await check(named("refuse a second one"), () =>
    refused([6, 409], () => client.createSecret({ parent, secretId: id, secret: { replication: { automatic: {} } } })));
  await check(named("add a version"), async () => {
    [version] = await client.addSecretVersion({ parent: secret.name, payload: { data: Buffer.from("value \u{1f511}") } });
    equal(version.name, `${secret.name}/versions/1`);
  });
  await check(named("read the newest version"), async () => {
    const [answer] = await client.accessSecretVersion({ name: `${secret.name}/versions/latest` });
    equal(Buffer.from(answer.payload.data).toString(), "value \u{1f511}");
    equal(answer.name, version.name);
  });
  await check(named("list secrets with a filter"), async () => {
    const [found] = await client.listSecrets({ parent, filter: `name:${id}` });
    equal(found.map((one) => one.name), [secret.name]);
  });
  await check(named("list versions page by page"), async () => {
    await client.addSecretVersion({ parent: secret.name, payload: { data: Buffer.from("second") } });
    const found = [];
    for await (const one of client.listSecretVersionsAsync({ parent: secret.name, pageSize: 1 })) found.push(one.state);
    equal(found, ["ENABLED", "ENABLED"]);
  });
  await check(named("change labels under a mask"), async () => {
    const [changed] = await client.updateSecret({
      secret: { name: secret.name, labels: { team: "a" } }, updateMask: { paths: ["labels"] },
    });
    equal(changed.labels, { team: "a" });
  });
  await check(named("refuse an old etag"), () =>
    refused([9, 400], () => client.updateSecret({
      secret: { name: secret.name, etag: secret.etag, labels: {} }, updateMask: { paths: ["labels"] },
    })));
  await check(named("disable a version and refuse to read it"), async () => {
    equal((await client.disableSecretVersion({ name: version.name }))[0].state, "DISABLED");
    await refused([9, 400], () => client.accessSecretVersion({ name: version.name }));
    equal((await client.enableSecretVersion({ name: version.name }))[0].state, "ENABLED");
  });
  await check(named("destroy a version"), async () => {
    equal((await client.destroySecretVersion({ name: version.name }))[0].state, "DESTROYED");
  });
  await check(named("set and read the policy"), async () => {
    const bindings = [{ role: "roles/secretmanager.secretAccessor", members: ["user:ada@example.com"], condition: null }];
    await client.setIamPolicy({ resource: secret.name, policy: { bindings } });
    const [policy] = await client.getIamPolicy({ resource: secret.name });
    equal(policy.bindings.map((one) => [one.role, one.members]), bindings.map((one) => [one.role, one.members]));
  });
  await check(named("delete the secret"), async () => {
    await client.deleteSecret({ name: secret.name });
    await refused([5, 404], () => client.getSecret({ name: secret.name }));
  });
}

async function buckets() {
  const storage = new Storage({ projectId: project, apiEndpoint: FIDELITY_HTTP, useAuthWithCustomEndpoint: false });
  const bucket = storage.bucket("node-fidelity");
  await check("storage: create a bucket", async () => {
    const [made] = await bucket.create({ location: "US-CENTRAL1" });
    equal(made.metadata.location, "US-CENTRAL1");
  });
  await check("storage: find it", async () => {
    equal([(await bucket.exists())[0], (await storage.bucket("node-missing").exists())[0]], [true, false]);
  });
  await check("storage: change its labels", async () => {
    equal((await bucket.setMetadata({ labels: { team: "a" } }))[0].labels, { team: "a" });
  });
  await check("storage: list buckets", async () => {
    equal((await storage.getBuckets())[0].map((one) => one.name), ["node-fidelity"]);
  });
  await check("storage: change its policy", async () => {
    const [policy] = await bucket.iam.getPolicy({ requestedPolicyVersion: 3 });
    policy.bindings = [...(policy.bindings ?? []), { role: "roles/storage.objectViewer", members: ["user:ada@example.com"] }];
    const [stored] = await bucket.iam.setPolicy(policy);
    equal(stored.bindings.some((one) => one.role === "roles/storage.objectViewer"), true);
  });
  await check("storage: delete it", async () => {
    await bucket.delete();
    equal((await bucket.exists())[0], false);
  });
}

async function documents(auth) {
  const options = { auth, rootUrl: `${FIDELITY_HTTP}/` };
  const iam = google.iam({ version: "v1", ...options });
  const email = `node-app@${project}.iam.gserviceaccount.com`;
  const account = `projects/${project}/serviceAccounts/${email}`;
  let keyFile;
  await check("googleapis: create a service account", async () => {
    const { data } = await iam.projects.serviceAccounts.create({
      name: `projects/${project}`, requestBody: { accountId: "node-app", serviceAccount: { displayName: "Node" } },
    });
    equal(data.email, email);
  });
  await check("googleapis: create a key and list it", async () => {
    const { data } = await iam.projects.serviceAccounts.keys.create({ name: account, requestBody: {} });
    keyFile = JSON.parse(Buffer.from(data.privateKeyData, "base64").toString());
    const { data: listed } = await iam.projects.serviceAccounts.keys.list({ name: account, keyTypes: ["USER_MANAGED"] });
    equal(listed.keys.map((one) => one.name), [data.name]);
  });
  await check("googleapis: change the project's policy", async () => {
    const manager = google.cloudresourcemanager({ version: "v3", ...options });
    const resource = `projects/${project}`;
    const { data: policy } = await manager.projects.getIamPolicy({ resource, requestBody: {} });
    const bindings = [...(policy.bindings ?? []), { role: "roles/secretmanager.viewer", members: [`serviceAccount:${email}`] }];
    const { data } = await manager.projects.setIamPolicy({ resource, requestBody: { policy: { ...policy, bindings } } });
    equal(data.bindings.some((one) => one.members.includes(`serviceAccount:${email}`)), true);
  });
  await check("googleapis: create a custom role", async () => {
    const { data } = await iam.projects.roles.create({
      parent: `projects/${project}`,
      requestBody: { roleId: "nodeReader", role: { title: "Reader", includedPermissions: ["secretmanager.secrets.list"] } },
    });
    equal(data.name, `projects/${project}/roles/nodeReader`);
  });
  await check("googleapis: list enabled services", async () => {
    const usage = google.serviceusage({ version: "v1", ...options });
    const { data } = await usage.services.list({ parent: `projects/${project}`, filter: "state:ENABLED" });
    equal(data.services.some((one) => one.config.name === "secretmanager.googleapis.com"), true);
  });
  await check("googleapis: read a secret", async () => {
    const manager = google.secretmanager({ version: "v1", ...options });
    const { data } = await manager.projects.secrets.create({
      parent: `projects/${project}`, secretId: "node-rest", requestBody: { replication: { automatic: {} } },
    });
    await manager.projects.secrets.addVersion({
      parent: data.name, requestBody: { payload: { data: Buffer.from("value").toString("base64") } },
    });
    const { data: read } = await manager.projects.secrets.versions.access({ name: `${data.name}/versions/latest` });
    equal(Buffer.from(read.payload.data, "base64").toString(), "value");
  });
  return { iam, keyFile, email };
}

function signed(claims, key) {
  const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
  const text = `${encode({ alg: "RS256", kid: "k1", typ: "JWT" })}.${encode(claims)}`;
  return `${text}.${crypto.sign("RSA-SHA256", Buffer.from(text), key).toString("base64url")}`;
}

async function federation(iam, email) {
  const { publicKey, privateKey } = crypto.generateKeyPairSync("rsa", { modulusLength: 2048 });
  const jwk = { ...publicKey.export({ format: "jwk" }), kid: "k1", use: "sig", alg: "RS256" };
  const pools = iam.projects.locations.workloadIdentityPools;
  const parent = `projects/${project}/locations/global`;
  await pools.create({ parent, workloadIdentityPoolId: "node-pool", requestBody: {} });
  await pools.providers.create({
    parent: `${parent}/workloadIdentityPools/node-pool`,
    workloadIdentityPoolProviderId: "builds",
    requestBody: {
      attributeMapping: { "google.subject": "assertion.sub" },
      oidc: { issuerUri: "https://issuer.example.com", jwksJson: JSON.stringify({ keys: [jwk] }) },
    },
  });
  const audience = `//iam.googleapis.com/${(await pools.get({ name: `${parent}/workloadIdentityPools/node-pool` })).data.name}/providers/builds`;
  const now = Math.floor(Date.now() / 1000);
  const file = path.join(FIDELITY_WORK, "subject-token");
  fs.writeFileSync(file, signed({ iss: "https://issuer.example.com", aud: `https:${audience}`, sub: "build", iat: now, exp: now + 600 }, privateKey));
  return {
    type: "external_account",
    audience,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    token_url: `${FIDELITY_HTTP}/v1/token`,
    credential_source: { file },
    email,
  };
}

async function identities({ iam, keyFile, email }, token) {
  const isToken = (answer) => equal(typeof (answer.token ?? answer) === "string" && (answer.token ?? answer).length > 20, true);
  const config = await federation(iam, email).catch((error) => error);
  const usable = () => {
    if (config instanceof Error) throw config;
    return config;
  };
  await check("google-auth: exchange a token of an identity provider", async () => {
    isToken(await ExternalAccountClient.fromJSON({ ...usable(), scopes: [SCOPE] }).getAccessToken());
  });
  await check("google-auth: exchange it and act as an account", async () => {
    const url = `${FIDELITY_HTTP}/v1/projects/-/serviceAccounts/${email}:generateAccessToken`;
    const client = ExternalAccountClient.fromJSON({ ...usable(), service_account_impersonation_url: url, scopes: [SCOPE] });
    isToken(await client.getAccessToken());
  });
  await check("google-auth: act as an account with a token", async () => {
    const sourceClient = new OAuth2Client();
    sourceClient.setCredentials({ access_token: token });
    const client = new Impersonated({
      sourceClient, targetPrincipal: email, targetScopes: [SCOPE], lifetime: 600, endpoint: FIDELITY_HTTP,
    });
    isToken(await client.getAccessToken());
  });
  await check("google-auth: log in with a key file (JWT)", async () => {
    const client = new JWT({ email: keyFile.client_email, key: keyFile.private_key, scopes: [SCOPE] });
    isToken(await client.getAccessToken());
  });
  await check("google-auth: log in with a key file (fromJSON)", async () => {
    const client = new GoogleAuth({ scopes: [SCOPE] }).fromJSON(keyFile);
    client.scopes = [SCOPE];
    isToken(await client.getAccessToken());
  });
}

const auth = new OAuth2Client();
auth.setCredentials({ access_token: process.env.FIDELITY_TOKEN });
const [grpcHost, grpcPort] = FIDELITY_GRPC.split(":");
await secrets("grpc", new SecretManagerServiceClient({
  projectId: project, apiEndpoint: grpcHost, port: Number(grpcPort), sslCreds: grpc.credentials.createInsecure(),
}));
await secrets("rest", new SecretManagerServiceClient({
  projectId: project, fallback: true, protocol: "http", apiEndpoint: host, port, authClient: auth,
}));
await buckets();
await identities(await documents(auth), process.env.FIDELITY_TOKEN);
