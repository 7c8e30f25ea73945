"""The chart rendered: what a user with few values, with all of them, and without a network would get."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "deploy/helm/candlewick"
RELEASE: Final = "cw"
NAMESPACE: Final = "trading"
Objects = list[dict[str, Any]]

#: Values by the name of the user who gives them.
VALUES: Final[Mapping[str, Mapping[str, Any]]] = {
    "least": {"servers": {"kafka": {"brokers": "kafka:9092"}}},
    "most": {
        "image": {"repository": "candlewick", "digest": "sha256:" + "0" * 64, "pullSecrets": [{"name": "pull"}]},
        "servers": {
            "prefix": "blue.",
            "kafka": {"brokers": "kafka-1:9092,kafka-2:9092", "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}]},
            "registry": {"url": "http://registry:8081"},
        },
        "ingress": {"enabled": True, "host": "candlewick.example", "className": "nginx", "tlsSecretName": "tls"},
        "scaling": {
            "enabled": True,
            "prometheus": "http://prometheus.monitoring:9090",
            "services": {"stream": {"least": 3, "most": 99, "threshold": 5000}},
        },
        "monitoring": {"enabled": True, "runbooks": "https://runbooks.example/candlewick", "labels": {"release": "p"}},
        "telemetry": {"otlpEndpoint": "http://otel.monitoring:4318"},
        "network": {"publicFrom": [{"namespaceSelector": {"matchLabels": {"name": "ingress"}}}]},
        "defaults": {"priorityClassName": "high", "nodeSelector": {"pool": "trading"}, "env": {"TZ": "UTC"}},
        "services": {"gateway": {"replicas": 3, "podAnnotations": {"note": "door"}}},
    },
    "demo": {
        "exchange": "demo",
        "servers": {"kafka": {"brokers": "kafka:9092"}},
        "network": {"enabled": False},
        "migration": {"enabled": False},
        "fullnameOverride": "candles",
    },
}


def rendered(helm: str, values: Mapping[str, Any], *, version: str = "1.33.0") -> Objects:
    """The objects that ``helm template`` makes of values; raises CalledProcessError, whose ``stderr`` says why."""
    command = [helm, "template", RELEASE, str(CHART), "--namespace", NAMESPACE, "--kube-version", version, "-f", "-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=True)
    return [found for found in yaml.safe_load_all(done.stdout) if found]
