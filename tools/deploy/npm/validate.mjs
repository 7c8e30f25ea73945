/** Reads Kubernetes objects as JSON, one a line, and checks those of KEDA and the Prometheus Operator by their own schemas. */
import { createInterface } from 'node:readline';

const packages = { 'keda.sh': '@kubernetes-models/keda', 'monitoring.coreos.com': '@kubernetes-models/prometheus-operator' };
let checked = 0;
let faults = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const object = JSON.parse(line);
  const [group, version] = object.apiVersion.split('/');
  if (!(group in packages)) continue;
  const { [object.kind]: Kind } = await import(`${packages[group]}/${group}/${version}/${object.kind}`);
  try {
    new Kind(object).validate();
    checked += 1;
  } catch (error) {
    faults += 1;
    console.log(`${object.kind} ${object.metadata.name}: ${error.message}`);
  }
}
console.log(`${checked} objects of KEDA and the Prometheus Operator are as their schemas say`);
process.exit(faults || !checked ? 1 : 0);
