import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { configInImage, isWritable, writtenDirectories } from "./image.ts";
import { container, environmentOf, freshclamPod, freshclamTemplate, mountsOf, ofKind, policy, replicas } from "./manifests.ts";
import { readOneYaml } from "./yaml-file.ts";

describe("the Kubernetes example with several gateways", () => {
  const patch = readOneYaml(`${replicas}deployment.yaml`);
  const its = patch.at("spec", "template", "spec", "containers").named("clamgate");

  test("has the gateways read what the job writes, and fetch nothing", () => {
    const together = configInImage({ ...environmentOf(container), ...environmentOf(its) });
    assert.equal(together.SIGNATURE_CHECKS, 0);
    assert.equal(isWritable(together.DATABASE_DIRECTORY, mountsOf(its)), false);
    const everywhere = [...mountsOf(container), ...mountsOf(its)];
    for (const directory of writtenDirectories(together)) assert.ok(isWritable(directory, everywhere), directory);
    assert.ok(isWritable(together.DATABASE_DIRECTORY, mountsOf(freshclamPod.at("containers").named("freshclam"))));
    const conf = ofKind(`${replicas}freshclam.yaml`, "ConfigMap").at("data", "freshclam.conf").text();
    assert.match(conf, new RegExp(`^DatabaseDirectory ${together.DATABASE_DIRECTORY}$`, "m"));
  });

  test("mounts an outer directory before one that lies in it", () => {
    for (const one of [its, container, freshclamPod.at("containers").named("freshclam")]) {
      const paths = mountsOf(one).map(({ path }) => path);
      for (const [index, path] of paths.entries()) {
        assert.ok(!paths.slice(index + 1).some((later) => path.startsWith(`${later}/`)), path);
      }
    }
  });

  test("gives every pod a state of its own, and all the same signatures", () => {
    const volumes = patch.at("spec", "template", "spec", "volumes");
    assert.ok(volumes.named("state").at("emptyDir"));
    const claims = [volumes, freshclamPod.at("volumes")].map((one) =>
      one.named("signatures").at("persistentVolumeClaim", "claimName").text(),
    );
    const signatures = readOneYaml(`${replicas}signatures.yaml`);
    assert.deepEqual(claims, Array(2).fill(signatures.at("metadata", "name").text()));
    assert.deepEqual(signatures.at("spec", "accessModes").value, ["ReadWriteMany"]);
  });

  test("lets the gateways, which read hostile files, reach nothing", () => {
    assert.deepEqual(readOneYaml(`${replicas}network-policy.yaml`).at("spec", "egress").value, []);
  });

  test("lets the job out as the single gateway is, and nobody in", () => {
    const its = ofKind(`${replicas}freshclam.yaml`, "NetworkPolicy");
    assert.deepEqual(its.at("spec", "egress").value, policy.at("spec", "egress").value);
    assert.equal(its.find("spec", "ingress"), null);
    assert.deepEqual(its.at("spec", "policyTypes").value, ["Ingress", "Egress"]);
    const labels = freshclamTemplate.at("metadata", "labels").value;
    assert.deepEqual(its.at("spec", "podSelector", "matchLabels").value, labels);
  });
});
