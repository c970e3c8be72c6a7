import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { describe, test } from "node:test";
import fastify from "fastify";
import { opsRoutes } from "../../src/front/ops/ops-routes.ts";
import { configInImage, deployDirectory, isWritable, writtenDirectories } from "./image.ts";
import { container, deployment, environmentOf, freshclamPod, mountsOf, pod, policy, replicas, single } from "./manifests.ts";
import { readOneYaml } from "./yaml-file.ts";

const clamdEndMs = 5_000;
const config = configInImage(environmentOf(container));

describe("the Kubernetes example", () => {
  test("names in each kustomization every file that lies beside it, and no other", () => {
    for (const directory of [single, replicas]) {
      const kustomization = readOneYaml(`${directory}kustomization.yaml`);
      const resources = kustomization
        .at("resources")
        .items()
        .map((one) => one.text());
      const patches =
        kustomization
          .find("patches")
          ?.items()
          .map((one) => one.at("path").text()) ?? [];
      const named = [...resources, ...patches];
      for (const path of named) assert.ok(existsSync(new URL(directory + path, deployDirectory)), path);
      const here = readdirSync(new URL(directory, deployDirectory)).filter((name) => name !== "kustomization.yaml");
      assert.deepEqual(named.filter((path) => !path.startsWith("..")).sort(), here.sort());
    }
  });

  test("gives both the same image", () => {
    const [one, other] = [single, replicas].map((directory) => readOneYaml(`${directory}kustomization.yaml`).at("images").value);
    assert.deepEqual(one, other);
  });

  test("sets what is a setting, to what it allows", () => {
    assert.equal(config.MAX_THREADS, 4);
  });

  test("names the ports that the gateway listens on", () => {
    assert.equal(container.at("ports").named("http").at("containerPort").value, config.PORT);
    assert.equal(container.at("ports").named("https").at("containerPort").value, config.SSL_PORT);
    const service = readOneYaml(`${single}service.yaml`);
    for (const [name, port] of [
      ["http", config.PORT],
      ["https", config.SSL_PORT],
    ] as const) {
      assert.deepEqual(service.at("spec", "ports").named(name).value, { name, port, targetPort: name });
    }
  });

  test("probes what the gateway answers", async () => {
    await using server = fastify();
    const unasked = () => assert.fail("nothing is asked");
    await server.register(opsRoutes({ readiness: unasked, metrics: unasked, engineVersion: () => null, maxAgeHours: 48 }));
    const paths = { startupProbe: "/livez", livenessProbe: "/livez", readinessProbe: "/readyz" };
    for (const [probe, url] of Object.entries(paths)) {
      assert.deepEqual(container.at(probe, "httpGet").value, { path: url, port: "http" });
      assert.ok(server.hasRoute({ method: "GET", url }), url);
    }
  });

  test("meets the restricted profile in every pod", () => {
    for (const one of [pod, freshclamPod]) {
      assert.equal(one.at("automountServiceAccountToken").value, false);
      assert.equal(one.at("enableServiceLinks").value, false);
      const { runAsNonRoot, runAsUser, runAsGroup, fsGroup, seccompProfile } = Object(one.at("securityContext").value);
      assert.deepEqual(
        { runAsNonRoot, runAsUser, runAsGroup, fsGroup },
        { runAsNonRoot: true, runAsUser: 100, runAsGroup: 101, fsGroup: 101 },
      );
      assert.deepEqual(seccompProfile, { type: "RuntimeDefault" });
      for (const its of one.at("containers").items()) {
        assert.deepEqual(its.at("securityContext").value, {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        });
      }
    }
    assert.equal(
      readOneYaml(`${single}namespace.yaml`).at("metadata", "labels").texts()["pod-security.kubernetes.io/enforce"],
      "restricted",
    );
  });

  test("mounts every directory that the gateway writes, from a volume that is there", () => {
    for (const directory of writtenDirectories(config)) assert.ok(isWritable(directory, mountsOf(container)), directory);
    assert.ok(isWritable("/tmp", mountsOf(container)));
    const volumes = pod.at("volumes");
    for (const mount of container.at("volumeMounts").items()) volumes.named(mount.at("name").text());
    const claim = volumes.named("state").at("persistentVolumeClaim", "claimName").text();
    assert.equal(readOneYaml(`${single}volume.yaml`).at("metadata", "name").text(), claim);
  });

  test("keeps signatures and state on one volume, where a set in use is kept by hard links", () => {
    const around = mountsOf(container).filter(({ path }) => config.DATABASE_DIRECTORY.startsWith(path));
    assert.deepEqual(
      around.map(({ path }) => path),
      [config.STATE_DIRECTORY],
    );
  });

  test("lets the spool fill no more than its volume", () => {
    const limit = pod.at("volumes").named("spool").at("emptyDir", "sizeLimit").text();
    assert.ok(config.SPOOL_MAX < Number.parseInt(limit, 10) * 1024 ** 3);
  });

  test("never runs two pods on the volume of one", () => {
    assert.equal(deployment.at("spec", "replicas").value, 1);
    assert.equal(deployment.at("spec", "strategy", "type").value, "Recreate");
  });

  test("lets scans finish before it kills", () => {
    const preStop = container.at("lifecycle", "preStop", "exec", "command").value as readonly string[];
    const needed = Number(preStop[1]) * 1000 + config.SHUTDOWN_GRACE + clamdEndMs;
    assert.ok(Number(pod.at("terminationGracePeriodSeconds").value) * 1000 > needed);
  });

  test("has memory for two sets of signatures and for the threads it allows", () => {
    assert.equal(container.at("resources", "limits", "memory").text(), "3Gi");
    assert.equal(container.at("resources", "requests", "memory").text(), "3Gi");
    assert.ok(2 * 1.1 + config.MAX_THREADS * 0.1 < 3);
  });

  test("selects with service, policy and budget the pods that the deployment makes", () => {
    const labels = deployment.at("spec", "template", "metadata", "labels").value;
    assert.deepEqual(deployment.at("spec", "selector", "matchLabels").value, labels);
    assert.deepEqual(readOneYaml(`${single}service.yaml`).at("spec", "selector").value, labels);
    assert.deepEqual(policy.at("spec", "podSelector", "matchLabels").value, labels);
    const budget = readOneYaml(`${replicas}disruption-budget.yaml`);
    assert.deepEqual(budget.at("spec", "selector", "matchLabels").value, labels);
  });

  test("lets in the pods with the label, on the gateway's ports", () => {
    const [rule, ...more] = policy.at("spec", "ingress").items();
    assert.equal(more.length, 0);
    assert.deepEqual(rule?.at("from").value, [
      { namespaceSelector: {}, podSelector: { matchLabels: { "clamgate-client": "true" } } },
    ]);
    assert.deepEqual(rule?.at("ports").value, [{ port: "http" }, { port: "https" }]);
  });

  test("lets out names and https, and nothing to private networks", () => {
    assert.deepEqual(policy.at("spec", "policyTypes").value, ["Ingress", "Egress"]);
    const egress = policy.at("spec", "egress");
    const ports = egress.items().flatMap((rule) =>
      rule
        .at("ports")
        .items()
        .map((one) => one.at("port").value),
    );
    assert.deepEqual(ports, [53, 53, 443]);
    const blocks = egress
      .at(1, "to")
      .items()
      .map((one) => one.at("ipBlock"));
    assert.deepEqual(
      blocks.map((block) => block.at("cidr").value),
      ["0.0.0.0/0", "::/0"],
    );
    const closed = egress
      .at(1, "to", 0, "ipBlock", "except")
      .items()
      .map((one) => one.text());
    for (const range of ["10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"])
      assert.ok(closed.includes(range), range);
  });
});
