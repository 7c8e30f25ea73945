"""``python -m tools.deploy.objects VERSION``: Kubernetes objects on standard input, one JSON a line, by its schemas.

Strict: a field that does not exist is a fault. Kinds that are not Kubernetes' own are left to others. Runs with the
wheels of requirements/deploy.txt on the path.
"""

import json
import sys
from importlib import import_module


def main() -> int:
    validate = import_module("kubernetes_validate")
    version, checked, faults = sys.argv[1], 0, 0
    for line in sys.stdin:
        found = json.loads(line)
        try:
            validate.validate(found, version, strict=True)
            checked += 1
        except validate.SchemaNotFoundError:
            if "." not in found["apiVersion"].partition("/")[0] or ".k8s.io/" in found["apiVersion"]:
                faults += 1
                print(f"Kubernetes {version} has no {found['apiVersion']} {found['kind']}")
        except validate.ValidationError as error:
            faults += 1
            where = ".".join(map(str, error.path))
            print(f"{found['kind']} {found['metadata']['name']}: {where}: {error.message}")
    print(f"{checked} objects are as Kubernetes {version} wants them")
    return 1 if faults or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
