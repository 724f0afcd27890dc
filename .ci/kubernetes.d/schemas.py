"""The OpenAPI document of an API server (stdin) as JSON schemas for kubeconform,
one file a kind, in the folder named by the first argument."""
import json
import os
import sys

document = json.load(sys.stdin)
folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)


def strict(node):
    """Unknown fields are mistakes; some fields are a number or its text."""
    if isinstance(node, list):
        return [strict(n) for n in node]
    if not isinstance(node, dict):
        return node
    if isinstance(node.get("$ref"), str):
        return {"$ref": node["$ref"].replace("#/definitions/", "_definitions.json#/definitions/")}
    out = {k: strict(v) for k, v in node.items()}
    if node.get("format") == "int-or-string":
        return {"oneOf": [{"type": "integer"}, {"type": "string"}]}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        out["additionalProperties"] = False
    return out


definitions = {}
for name, definition in document["definitions"].items():
    if name.endswith("api.resource.Quantity"):
        definitions[name] = {"oneOf": [{"type": "number"}, {"type": "string"}]}
    else:
        definitions[name] = strict(definition)
with open(os.path.join(folder, "_definitions.json"), "w") as f:
    json.dump({"definitions": definitions}, f)

count = 0
for name, definition in document["definitions"].items():
    for gvk in definition.get("x-kubernetes-group-version-kind", []):
        group = gvk["group"].split(".")[0]
        parts = [gvk["kind"], group, gvk["version"]] if group else [gvk["kind"], gvk["version"]]
        path = os.path.join(folder, "-".join(parts).lower() + ".json")
        with open(path, "w") as f:
            json.dump({"$ref": "_definitions.json#/definitions/" + name}, f)
        count += 1
print(f"{count} kinds")
