/** The Kubernetes manifests, and what the tests of both arrangements ask of them. */

import { type Node, readOneYaml, readYaml } from "./yaml-file.ts";

export const single = "kubernetes/single/";
export const replicas = "kubernetes/replicas/";

/** The deployment of one gateway. */
export const deployment: Node = readOneYaml(`${single}deployment.yaml`);
export const pod: Node = deployment.at("spec", "template", "spec");
export const container: Node = pod.at("containers").named("clamgate");
export const policy: Node = readOneYaml(`${single}network-policy.yaml`);

/** The job that fetches signatures for several. */
export const freshclamTemplate: Node = ofKind(`${replicas}freshclam.yaml`, "CronJob").at(
  "spec",
  "jobTemplate",
  "spec",
  "template",
);
export const freshclamPod: Node = freshclamTemplate.at("spec");

/** The first document of a kind in a file; throws where there is none. */
export function ofKind(path: string, kind: string): Node {
  const found = readYaml(path).find((document) => document.at("kind").value === kind);
  if (found === undefined) throw new Error(`${path} has no ${kind}`);
  return found;
}

export function environmentOf(one: Node): Readonly<Record<string, string>> {
  return Object.fromEntries(
    one
      .at("env")
      .items()
      .map((entry) => [entry.at("name").text(), entry.at("value").text()]),
  );
}

export interface Mount {
  readonly path: string;
  readonly isReadOnly: boolean;
}

export function mountsOf(one: Node): readonly Mount[] {
  return one
    .at("volumeMounts")
    .items()
    .map((mount) => ({ path: mount.at("mountPath").text(), isReadOnly: mount.find("readOnly")?.value === true }));
}
