"""The Helm chart: valid for Kubernetes, locked down, without a secret in it, and with the proxy of the compose file."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from synth_assets_tests.chain import ROOT
from synth_assets_tests.nginx import RULES
from synth_assets_tests.unit.deploy.chart import (
    CHART,
    EXAMPLE,
    Document,
    containers,
    helm,
    known,
    one,
    pod,
    rendered,
    services,
    texts,
    variables,
)

VERSIONS = ("1.25", kubernetes_validate.latest_version().rpartition(".")[0])
ALL_ON: dict[str, Any] = {
    "imagePullSecrets": ["registry"], "s3__logs": "s3://hospital-restricted/logs", "s3__endpoint": "https://s3.example.org",
    "s3__encryption": "sse-kms", "s3__kmsKey": "alias/synth", "postgres__vault": True, "datasets__existingConfigMap": "datasets",
    "authorities__existingConfigMap": "authorities", "extraSecrets": ["sources"], "home__storageClass": "fast",
    "settings": {"SYNTH_ASSETS_MEMORY_LIMIT": "4GB", "SYNTH_ASSETS_INBOX": "s3://hospital-restricted/inbox"},
    "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "front-tls", "annotations": {"a/b": "HTTPS"}},
    "proxy__trustedProxies": ["10.0.0.0/8"], "serviceAccount__annotations": {"a/role": "r"}, "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "only", "operator": "Exists"}], "service__annotations": {"a/b": "c"},
    "networkPolicy__from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}}],
}  # fmt: skip
LEAST: dict[str, Any] = {
    "s3__existingSecret": "", "home__existingClaim": "mine", "networkPolicy__metricsFrom": [], "networkPolicy__egress": []
}  # fmt: skip


@pytest.fixture(scope="module", params=[{}, ALL_ON, LEAST], ids=["example", "all on", "least"])
def documents(request: pytest.FixtureRequest) -> list[Document]:
    return rendered(**request.param)


@pytest.fixture(scope="module")
def example() -> list[Document]:
    return rendered()


def test_helm_finds_nothing_to_object_to() -> None:
    done = helm("lint", str(CHART), "--strict")
    assert done.returncode == 0, done.stdout
    assert "0 chart(s) failed" in done.stdout


@pytest.mark.parametrize("version", VERSIONS)
def test_every_manifest_is_one_of_kubernetes(documents: list[Document], version: str) -> None:
    for document in documents:
        kubernetes_validate.validate(document, version, strict=True)
    assert {d["kind"] for d in documents} >= {"StatefulSet", "Service", "ConfigMap", "NetworkPolicy", "ServiceAccount"}


def test_the_validation_bites(example: list[Document]) -> None:
    broken = json.loads(json.dumps(one(example, "StatefulSet")))
    broken["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_the_versions_are_those_of_the_package_and_the_packages_of_the_charts() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values["proxy"]["image"] == services()["proxy"]["image"]
    assert values["signOn"]["image"] == services()["sign-on"]["image"]


def test_no_container_may_anything(documents: list[Document]) -> None:
    spec = pod(documents)
    assert spec["automountServiceAccountToken"] is False
    assert not {"hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"} & set(spec)
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True, "runAsUser": 10001,
            "runAsGroup": 10001, "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"},
        }, container["name"]  # fmt: skip
        assert container["resources"]["limits"]["memory"], container["name"]
    assert not [v for v in spec["volumes"] if "hostPath" in v]
    assert all(v["emptyDir"]["medium"] == "Memory" for v in spec["volumes"] if "emptyDir" in v)


def test_all_but_the_proxy_and_the_figures_listens_on_this_pod_alone(example: list[Document]) -> None:
    found = containers(example)
    listening = {
        n: re.findall(r"\d+\.\d+\.\d+\.\d+(?=:| |$)", " ".join(c.get("command") or c["args"])) for n, c in found.items()
    }
    assert {n: a for n, a in listening.items() if a} == {
        "code": ["127.0.0.1"], "operators": ["127.0.0.1"], "viewers": ["127.0.0.1"], "sign-on": ["127.0.0.1"],
        "watch": ["0.0.0.0"],  # noqa: S104  what is looked for
    }  # fmt: skip
    ports = {p["containerPort"]: n for n, c in found.items() for p in c.get("ports", ())}
    assert ports == {8443: "proxy", 9464: "watch"}
    targets = {p["targetPort"] for d in example if d["kind"] == "Service" for p in d["spec"]["ports"]}
    assert targets == {"https", "metrics"}
    (alias,) = pod(example)["hostAliases"]
    assert alias == {"ip": "127.0.0.1", "hostnames": ["code"]}


def test_the_network_lets_the_proxy_be_reached_and_the_figures_by_monitoring(documents: list[Document]) -> None:
    policy = one(documents, "NetworkPolicy")["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert (
        policy["podSelector"]["matchLabels"].items()
        <= one(documents, "StatefulSet")["spec"]["template"]["metadata"]["labels"].items()
    )
    open_to_all = [p["port"] for rule in policy["ingress"] if not rule.get("from") for p in rule["ports"]]
    assert set(open_to_all) <= {"https"}
    assert {p["port"] for rule in policy["ingress"] for p in rule["ports"]} <= {"https", "metrics"}
    assert all(rule["ports"] for rule in policy["egress"])


def test_the_viewers_webserver_is_read_only_and_the_operators_is_not(example: list[Document]) -> None:
    found = containers(example)
    assert [n for n, c in found.items() if "--read-only" in c.get("command", ())] == ["viewers"]
    places = one(example, "ConfigMap")["data"]["places.conf"]
    for role in ("operators", "viewers"):
        port = found[role]["command"][found[role]["command"].index("-p") + 1]
        assert re.search(rf"^  {role} +127.0.0.1:{port};$", places, re.MULTILINE)


def test_the_rules_of_the_proxy_are_those_of_the_compose_file(documents: list[Document]) -> None:
    assert one(documents, "ConfigMap")["data"]["nginx.conf"].strip() == RULES.read_text().strip()
    mounted = {v.split(":")[1]: v.split(":")[0] for v in services()["proxy"]["volumes"]}
    assert (ROOT / "deploy" / mounted["/etc/nginx/nginx.conf"]).resolve() == RULES
    (chart,) = [v["mountPath"] for v in containers(documents)["proxy"]["volumeMounts"] if v["name"] == "proxy"]
    assert chart == "/etc/nginx"
    assert containers(documents)["proxy"]["command"] == services()["proxy"]["command"]


def test_an_ingress_in_front_is_believed_only_where_it_is_named(example: list[Document]) -> None:
    assert "real_ip" not in one(example, "ConfigMap")["data"]["places.conf"]
    places = one(rendered(**ALL_ON), "ConfigMap")["data"]["places.conf"]
    assert "real_ip_header X-Forwarded-For;\nset_real_ip_from 10.0.0.0/8;" in places


def test_the_sign_on_has_the_options_of_the_compose_file(example: list[Document]) -> None:
    def options(arguments: list[str]) -> dict[str, str]:
        return dict(a.split("=", 1) for a in arguments if not a.startswith("--http-address="))

    ours, theirs = options(containers(example)["sign-on"]["args"]), options(services()["sign-on"]["command"])
    assert set(ours) == set(theirs)
    assert {k for k in ours if ours[k] != theirs[k]} == {"--oidc-issuer-url", "--client-id", "--redirect-url"}
    assert ours["--redirect-url"] == "https://synth.example.org/oauth2/callback"
    assert set(variables(containers(example)["sign-on"])) == set(services()["sign-on"]["environment"])


def test_secrets_are_named_and_never_held(documents: list[Document]) -> None:
    assert not [d for d in documents if d["kind"] == "Secret"]
    taken = {n: {v[0] for v in variables(c).values() if isinstance(v, tuple)} for n, c in containers(documents).items()}
    everything = {"synth-postgres", "synth-keys"} | ({"synth-s3"} if taken["code"] >= {"synth-s3"} else set())
    assert taken["code"] == taken["watch"] == everything
    assert taken["sign-on"] == {"synth-sign-on"}
    for name in ("daemon", "operators", "viewers"):
        assert "synth-keys" not in taken[name], name
        logs_in_s3 = "SYNTH_ASSETS_S3_LOGS" in variables(containers(documents)[name])
        assert ("synth-s3" in taken[name]) is (logs_in_s3 and "synth-s3" in taken["code"])
    assert not [
        t
        for t in texts(documents)
        if re.search(r"postgres(ql)?://|[0-9a-f]{64}", t) and "checksum" not in t and t != checksum(documents)
    ]


def test_the_page_makes_every_secret_that_the_example_names(example: list[Document]) -> None:
    page = (ROOT / "docs" / "howto" / "deployment.md").read_text()
    made: dict[str, set[str]] = {}
    for kind, name, rest in re.findall(r"create secret (generic|tls) (\S+) (.+)", page):
        made[name] = {"tls.crt", "tls.key"} if kind == "tls" else set(re.findall(r"--from-\w+=([\w-]+)=", rest))
    named: dict[str, set[str]] = {}
    for container in containers(example).values():
        for value in variables(container).values():
            if isinstance(value, tuple):
                named.setdefault(value[0], set()).add(value[1])
    (tls,) = [v["secret"]["secretName"] for v in pod(example)["volumes"] if "secret" in v]
    assert made == {**named, tls: set(re.findall(r"/run/tls/([\w.]+);", RULES.read_text()))}


def checksum(documents: list[Document]) -> str:
    return str(one(documents, "StatefulSet")["spec"]["template"]["metadata"]["annotations"]["checksum/proxy"])


def test_the_home_is_whole_where_data_is_handled_and_dagsters_part_of_it_elsewhere(documents: list[Document]) -> None:
    parts = {
        n: {(m["mountPath"], m.get("subPath")) for m in c["volumeMounts"] if m["name"] in {"home", "shm"}}
        for n, c in containers(documents).items()
    }
    whole = {("/opt/synth-assets/var", None), ("/dev/shm", None)}  # noqa: S108  a mount of a pod
    history = {("/opt/synth-assets/var/dagster", "dagster")}
    assert parts == {
        "code": whole, "watch": whole, "daemon": history, "operators": history, "viewers": history, "sign-on": set(), "proxy": set(),
    }  # fmt: skip
    (shm,) = [v for v in pod(documents)["volumes"] if v["name"] == "shm"]
    assert shm["emptyDir"] == {"medium": "Memory", "sizeLimit": "4Gi"}
    claim = next(v for v in pod(documents)["volumes"] if v["name"] == "home")["persistentVolumeClaim"]["claimName"]
    own = [d for d in documents if d["kind"] == "PersistentVolumeClaim"]
    assert [d["metadata"]["name"] for d in own] == ([] if claim == "mine" else [claim])
    assert all(d["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for d in own)
    assert one(documents, "StatefulSet")["spec"]["replicas"] == 1


def test_every_mount_has_its_volume_and_every_volume_a_mount(documents: list[Document]) -> None:
    spec = pod(documents)
    mounted = {m["name"] for c in (*spec["initContainers"], *spec["containers"]) for m in c["volumeMounts"]}
    assert mounted == {v["name"] for v in spec["volumes"]}


def test_every_variable_is_a_known_one(documents: list[Document]) -> None:
    named = {n for c in containers(documents).values() for n in variables(c) if n.startswith("SYNTH_ASSETS_")}
    assert len(named) >= 8
    assert named <= known()


def test_every_part_is_probed_by_its_own_means(example: list[Document]) -> None:
    found = containers(example)
    commands = {n: " ".join(c.get("livenessProbe", {}).get("exec", {}).get("command", ())) for n, c in found.items()}
    assert commands["code"].startswith("dagster api grpc-health-check ")
    assert commands["daemon"] == "dagster-daemon liveness-check"
    assert "3000/server_info" in commands["operators"]
    assert "3001/server_info" in commands["viewers"]
    assert found["watch"]["readinessProbe"]["exec"]["command"][:3] == ["synth-assets", "health", "--service"]
    assert found["proxy"]["readinessProbe"]["httpGet"] == {"scheme": "HTTPS", "port": "https", "path": "/healthz"}
    assert {n for n, c in found.items() if "livenessProbe" not in c} == {
        "sign-on"
    }  # it listens inside only: /healthz asks it


def test_what_is_missing_is_named() -> None:
    done = helm("template", "synth", str(CHART), values=None)
    assert done.returncode != 0
    for told in (
        "host is required", "image: repository is required", "tls: existingSecret is required", "signOn: issuer is required",
        "signOn: clientId is required", "signOn: existingSecret is required", "keys: existingSecret is required",
        "postgres: existingSecret is required", "s3: restricted is required", "s3: masked is required", "s3: release is required",
    ):  # fmt: skip
        assert told in done.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("s3.endpoint=http://minio:9000", "s3.endpoint"),
        ("signOn.issuer=http://id.example.org", "signOn.issuer"),
        ("postgres.url=postgresql://synth:pw@db/synth", "postgres: Additional property url is not allowed"),
        ("keys.masterKey=00", "keys: Additional property masterKey is not allowed"),
        ("settings.SYNTH_ASSETS_MASTER_KEY=00", "SYNTH_ASSETS_MASTER_KEY"),
        ("settings.HOME=x", 'Property name of "HOME" does not match'),
        ("home.accessMode=ReadWriteMany", "home.accessMode"),
        ("shm=4", "shm"),
        ("host=not a name", "host"),
        ("ingress.enabled=true", "ingress"),
        ("hosts=a", "Additional property hosts is not allowed"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_name(given: str, told: str) -> None:
    done = helm("template", "synth", str(CHART), "--set", given)
    assert done.returncode != 0
    assert told in done.stderr


def test_the_example_and_the_defaults_are_all_that_the_schema_knows() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    example = yaml.safe_load(EXAMPLE.read_text())
    assert set(schema["properties"]) == {"global", *values, *example}
    for name, section in schema["properties"].items():
        if "properties" in section and name != "resources":
            assert set(section["properties"]) == set(values[name] or ()) | set(example.get(name) or ()), name


def test_the_package_of_the_chart_has_no_file_too_many(tmp_path: Path) -> None:
    import tarfile

    done = helm("package", str(CHART), "--destination", str(tmp_path), values=None)
    assert done.returncode == 0, done.stderr
    with tarfile.open(next(tmp_path.iterdir())) as archive:
        names = {n.removeprefix("synth-assets/") for n in archive.getnames()}
    assert {
        "Chart.yaml",
        "values.yaml",
        "values.schema.json",
        "proxy/nginx.conf",
        "templates/statefulset.yaml",
    } <= names
    assert "example.yaml" not in names
