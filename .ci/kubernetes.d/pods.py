"""The pods that the workloads on stdin (a JSON list of the API server) would make.

Pod Security refuses pods, not the workloads that describe them."""
import json
import sys

pods = []
for w in json.load(sys.stdin)["items"]:
    template = w["spec"]["template"]
    # A stateful set's claims become volumes of its pods.
    for claim in w["spec"].get("volumeClaimTemplates", []):
        name = claim["metadata"]["name"]
        template["spec"].setdefault("volumes", []).append({"name": name, "persistentVolumeClaim": {"claimName": name + "-0"}})
    pods.append({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": w["kind"].lower() + "-" + w["metadata"]["name"],
            "namespace": w["metadata"]["namespace"],
            "labels": template["metadata"]["labels"],
        },
        "spec": template["spec"],
    })
if not pods:
    sys.exit("no workloads")
json.dump({"apiVersion": "v1", "kind": "List", "items": pods}, sys.stdout)
